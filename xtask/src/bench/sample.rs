//! Medians and quartiles.

/// Numbers of one kind, sorted.
#[derive(Clone, Debug, PartialEq)]
pub(super) struct Sample(Vec<f64>);

/// What a row says.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Measured {
    /// Median and quartiles, or why there are none.
    pub(super) result: String,
    /// The same under `strace -f`, where that can be compared.
    pub(super) strace: Option<String>,
    /// Whether the goal was met, if there is one and it was measured.
    pub(super) met: Option<bool>,
}

impl Measured {
    /// A row without numbers.
    pub(super) fn not(why: &str) -> Self {
        Self { result: format!("not measured: {why}"), strace: None, met: None }
    }

    /// A ratio with its limit.
    pub(super) fn ratio(sample: &Sample, strace: Option<&Sample>, limit: Option<f64>) -> Self {
        Self {
            result: sample.show(3, ""),
            strace: strace.map(|sample| sample.show(1, "")),
            met: limit.map(|limit| sample.median() <= limit),
        }
    }

    /// Something that is not a ratio.
    pub(super) fn value(result: String, met: bool) -> Self {
        Self { result, strace: None, met: Some(met) }
    }
}

impl Sample {
    /// At least one number is needed, and none of them may be NaN.
    pub(super) fn new(mut numbers: Vec<f64>) -> anyhow::Result<Self> {
        anyhow::ensure!(
            !numbers.is_empty() && numbers.iter().all(|number| number.is_finite()),
            "no usable numbers"
        );
        numbers.sort_by(f64::total_cmp);
        Ok(Self(numbers))
    }

    pub(super) fn median(&self) -> f64 {
        self.quantile(0.5)
    }

    /// Linear between neighbours.
    fn quantile(&self, part: f64) -> f64 {
        let place = part * (self.0.len() - 1) as f64;
        let (below, above) = (self.0[place.floor() as usize], self.0[place.ceil() as usize]);
        below + (above - below) * place.fract()
    }

    /// `1.180 (1.150–1.220)`: median and quartiles.
    pub(super) fn show(&self, digits: usize, unit: &str) -> String {
        let [low, middle, high] = [0.25, 0.5, 0.75].map(|part| self.quantile(part));
        format!("{middle:.digits$}{unit} ({low:.digits$}–{high:.digits$})")
    }
}

#[cfg(test)]
mod tests {
    use super::{Measured, Sample};

    #[test]
    fn takes_median_and_quartiles() {
        let sample = Sample::new(vec![5.0, 1.0, 2.0, 4.0, 3.0]).unwrap();
        assert_eq!(sample.show(1, " ms"), "3.0 ms (2.0–4.0)");
        assert_eq!(Sample::new(vec![1.0, 2.0]).unwrap().show(2, ""), "1.50 (1.25–1.75)");
        assert!(Sample::new(vec![]).is_err());
        assert!(Sample::new(vec![f64::NAN]).is_err());
    }

    #[test]
    fn judges_by_the_median() {
        let sample = Sample::new(vec![1.0, 1.02, 9.0]).unwrap();
        assert_eq!(Measured::ratio(&sample, None, Some(1.02)).met, Some(true));
        assert_eq!(Measured::ratio(&sample, None, Some(1.01)).met, Some(false));
    }
}

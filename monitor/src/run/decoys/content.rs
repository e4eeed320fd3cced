//! What decoys look like: each as its owner writes it, random, and good for nothing.
//!
//! None is where a program looks that acts on its own: profiles are not the default one, hosts do not exist. A program of
//! yours that runs meanwhile behaves as if the file were not there.

use std::fs::File;
use std::io::{self, Read as _};

use base64::Engine as _;

const LETTERS: &[u8] = b"abcdefghijklmnopqrstuvwxyz";
const ALPHANUMERIC: &[u8] = b"ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789";
const BASE32: &[u8] = b"ABCDEFGHIJKLMNOPQRSTUVWXYZ234567";
const HEX: &[u8] = b"0123456789abcdef";

/// Random bytes.
pub(super) struct Chance(File);

impl Chance {
    /// The kernel's.
    ///
    /// # Errors
    /// If there is no `/dev/urandom`.
    pub(super) fn new() -> io::Result<Self> {
        Ok(Self(File::open("/dev/urandom")?))
    }

    fn bytes(&mut self, count: usize) -> io::Result<Vec<u8>> {
        let mut bytes = vec![0; count];
        self.0.read_exact(&mut bytes)?;
        Ok(bytes)
    }

    /// A number below a limit that is no more than a few thousand, nearly evenly.
    ///
    /// # Errors
    /// If the kernel has no random bytes.
    pub(super) fn below(&mut self, limit: u64) -> io::Result<u64> {
        let mut bytes = [0; 8];
        self.0.read_exact(&mut bytes)?;
        Ok(u64::from_le_bytes(bytes) % limit.max(1))
    }

    fn word(&mut self, alphabet: &[u8], length: usize) -> io::Result<String> {
        let bytes = self.bytes(length)?;
        Ok(bytes.iter().map(|byte| char::from(alphabet[usize::from(*byte) % alphabet.len()])).collect())
    }

    fn base64(&mut self, length: usize) -> io::Result<String> {
        Ok(base64::engine::general_purpose::STANDARD.encode(self.bytes(length)?))
    }

    fn host(&mut self, name: &str) -> io::Result<String> {
        Ok(format!("{name}.{}.internal", self.word(LETTERS, 7)?))
    }
}

/// A decoy: where below a home it can be, and what is in it.
pub(super) type Decoy = (&'static str, fn(&mut Chance) -> io::Result<String>);

/// Every decoy there is, those that thieves look for most first.
pub(super) const DECOYS: [Decoy; 12] = [
    (".aws/credentials", aws),
    (".ssh/id_rsa_deploy", ssh),
    (".docker/config.json", docker),
    (".config/gh/hosts.yml", gh),
    (".pypirc", |chance| {
        let host = chance.host("pypi")?;
        let token = chance.word(ALPHANUMERIC, 150)?;
        Ok(format!(
            "[distutils]\nindex-servers =\n    ours\n\n[ours]\nrepository = https://{host}/\nusername = __token__\npassword = pypi-AgEI{token}\n"
        ))
    }),
    (".kube/config", kube),
    (".vault-token", |chance| Ok(format!("hvs.{}", chance.word(ALPHANUMERIC, 90)?))),
    (".terraform.d/credentials.tfrc.json", |chance| {
        let (host, token) = (chance.host("terraform")?, chance.word(ALPHANUMERIC, 67)?);
        let id = chance.word(ALPHANUMERIC, 14)?;
        Ok(format!(
            "{{\n  \"credentials\": {{\n    \"{host}\": {{\n      \"token\": \"{id}.atlasv1.{token}\"\n    }}\n  }}\n}}\n"
        ))
    }),
    (".config/solana/id.json", |chance| {
        let numbers: Vec<String> = chance.bytes(64)?.iter().map(u8::to_string).collect();
        Ok(format!("[{}]\n", numbers.join(",")))
    }),
    (".config/rclone/rclone.conf", |chance| {
        let id = chance.word(BASE32, 16)?;
        let key = chance.word(ALPHANUMERIC, 40)?;
        Ok(format!(
            "[backup]\ntype = s3\nprovider = AWS\naccess_key_id = AKIA{id}\nsecret_access_key = {key}\nregion = eu-central-1\n"
        ))
    }),
    (".supabase/access-token", |chance| Ok(format!("sbp_{}", chance.word(HEX, 40)?))),
    (".kaggle/kaggle.json", |chance| {
        Ok(format!(
            "{{\"username\":\"{}\",\"key\":\"{}\"}}\n",
            chance.word(LETTERS, 8)?,
            chance.word(HEX, 32)?
        ))
    }),
];

fn aws(chance: &mut Chance) -> io::Result<String> {
    let profile = format!("{}-deploy", chance.word(LETTERS, 5)?);
    let (id, key) = (chance.word(BASE32, 16)?, chance.base64(30)?);
    Ok(format!("[{profile}]\naws_access_key_id = AKIA{id}\naws_secret_access_key = {key}\n"))
}

fn ssh(chance: &mut Chance) -> io::Result<String> {
    // The header of an unencrypted key of OpenSSH (PROTOCOL.key in its sources).
    let mut key =
        b"openssh-key-v1\0\0\0\0\x04none\0\0\0\x04none\0\0\0\0\0\0\0\x01\0\0\x01\x97\0\0\0\x07ssh-rsa"
            .to_vec();
    key.extend(chance.bytes(1_800)?);
    let text = base64::engine::general_purpose::STANDARD.encode(key);
    let mut lines = vec!["-----BEGIN OPENSSH PRIVATE KEY-----".to_owned()];
    let mut rest = text.as_str();
    while !rest.is_empty() {
        let (line, more) = rest.split_at(rest.len().min(70));
        lines.push(line.to_owned());
        rest = more;
    }
    lines.push("-----END OPENSSH PRIVATE KEY-----\n".to_owned());
    Ok(lines.join("\n"))
}

fn docker(chance: &mut Chance) -> io::Result<String> {
    let auth = base64::engine::general_purpose::STANDARD
        .encode(format!("deploy:{}", chance.word(ALPHANUMERIC, 32)?));
    let host = chance.host("containers")?;
    Ok(format!("{{\n\t\"auths\": {{\n\t\t\"{host}\": {{\n\t\t\t\"auth\": \"{auth}\"\n\t\t}}\n\t}}\n}}\n"))
}

fn gh(chance: &mut Chance) -> io::Result<String> {
    let (host, user) = (chance.host("git")?, chance.word(LETTERS, 7)?);
    let token = chance.word(ALPHANUMERIC, 36)?;
    Ok(format!("{host}:\n    user: {user}\n    oauth_token: gho_{token}\n    git_protocol: https\n"))
}

fn kube(chance: &mut Chance) -> io::Result<String> {
    let host = chance.host("k8s")?;
    let (name, token) = (chance.word(LETTERS, 6)?, chance.word(ALPHANUMERIC, 64)?);
    Ok(format!(
        "apiVersion: v1\nkind: Config\nclusters:\n- cluster:\n    server: https://{host}:6443\n  name: {name}\ncontexts:\n- context:\n    \
         cluster: {name}\n    user: {name}-admin\n  name: {name}\ncurrent-context: \"\"\nusers:\n- name: {name}-admin\n  user:\n    token: \
         {token}\n"
    ))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn no_two_are_alike() {
        let mut chance = Chance::new().unwrap();
        for (path, content) in DECOYS {
            let (one, other) = (content(&mut chance).unwrap(), content(&mut chance).unwrap());
            assert!(one.len() >= 44 && one != other, "{path}: {one}");
            assert!(!one.to_lowercase().contains("decoy") && !one.contains("EXAMPLE"), "{path}: {one}");
            if path.ends_with(".json") {
                assert!(serde_json::from_str::<serde_json::Value>(&one).is_ok(), "{path}: {one}");
            }
            if path.ends_with(".yml") || path.ends_with("kube/config") {
                assert!(serde_saphyr::from_str::<serde_json::Value>(&one).is_ok(), "{path}: {one}");
            }
        }
    }
}

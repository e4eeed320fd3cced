//! A home directory full of decoys: each looks right, is random, and opens nothing anywhere.

use std::fs;
use std::os::unix::fs::PermissionsExt;
use std::path::{Path, PathBuf};

use crate::encoding::{base64, hex};
use crate::random::{ALPHANUMERIC, BASE32, HEX, bytes, word};
use crate::secret::Secrets;

/// A home directory with one decoy for every class of secret.
#[derive(Debug)]
pub struct Home {
    path: PathBuf,
    secrets: Secrets,
}

impl Home {
    /// A file that only decoy homes have. The packages look for it and do nothing elsewhere.
    pub const MARK: &'static str = ".decoy-home";

    /// Furnishes a home in an empty or missing directory.
    #[must_use]
    pub fn furnish(path: &Path) -> Self {
        let mut home = Self { path: path.to_owned(), secrets: Secrets::default() };
        home.registries();
        home.keys();
        home.clouds();
        home.assistants();
        home.browsers_and_wallets();
        home.shells();
        home.plain(Self::MARK, "this home is a decoy: packages of the tests do harm here and nowhere else\n");
        home
    }

    /// Where it is.
    #[must_use]
    pub fn path(&self) -> &Path {
        &self.path
    }

    /// What must not leave it.
    #[must_use]
    pub fn secrets(&self) -> &Secrets {
        &self.secrets
    }

    /// Makes up another secret, kept in no file but somewhere else.
    #[must_use]
    pub fn entrust(&mut self, place: &str) -> String {
        let token = format!("ghs_{}", word(ALPHANUMERIC, 36));
        self.secrets.add(place, token.as_bytes());
        token
    }

    /// Puts a key that opens something in the place of a decoy: a secret like the others.
    pub(crate) fn furnish_key(&mut self, name: &str, text: &str) {
        // The first lines are the same as in the public key.
        let line = text.lines().nth(3).expect("a private key has lines");
        self.secret(name, line, text);
    }

    fn registries(&mut self) {
        let npm = format!("npm_{}", word(ALPHANUMERIC, 36));
        self.secret(".npmrc", &npm, &format!("//npm.decoy.invalid/:_authToken={npm}\n"));
        let pypi = format!("pypi-AgEI{}", word(ALPHANUMERIC, 150));
        self.secret(".pypirc", &pypi, &format!("[pypi]\nusername = __token__\npassword = {pypi}\n"));
        let cargo = format!("cio{}", word(ALPHANUMERIC, 32));
        self.secret(".cargo/credentials.toml", &cargo, &format!("[registry]\ntoken = \"{cargo}\"\n"));
        let gem = format!("rubygems_{}", word(HEX, 48));
        self.secret(".gem/credentials", &gem, &format!("---\n:rubygems_api_key: {gem}\n"));
        let docker = base64(format!("decoy:{}", word(ALPHANUMERIC, 32)).as_bytes());
        let text = format!("{{\"auths\":{{\"registry.decoy.invalid\":{{\"auth\":\"{docker}\"}}}}}}\n");
        self.secret(".docker/config.json", &docker, &text);
    }

    fn keys(&mut self) {
        for name in [".ssh/id_ed25519", ".ssh/id_rsa"] {
            let body =
                base64(&[b"openssh-key-v1\0\0\0\0\x04none\0\0\0\x04none".as_slice(), &bytes(300)].concat());
            let lines: Vec<&str> =
                body.as_bytes().chunks(70).filter_map(|line| str::from_utf8(line).ok()).collect();
            let begin = "-----BEGIN OPENSSH PRIVATE KEY-----";
            let text = format!("{begin}\n{}\n{}\n", lines.join("\n"), begin.replace("BEGIN", "END"));
            self.secret(name, lines[2], &text);
        }
        let public = format!("ssh-ed25519 AAAAC3NzaC1lZDI1NTE5AAAAI{} decoy\n", word(ALPHANUMERIC, 43));
        self.plain(".ssh/id_ed25519.pub", &public);
        self.plain(".ssh/authorized_keys", &public);
        self.plain(".ssh/known_hosts", &format!("decoy.invalid {public}"));
        self.plain(".ssh/config", "Host decoy\n  HostName decoy.invalid\n  User decoy\n");
        let git = word(ALPHANUMERIC, 40);
        self.secret(".git-credentials", &git, &format!("https://decoy:{git}@git.decoy.invalid\n"));
        let gh = format!("gho_{}", word(ALPHANUMERIC, 36));
        let text = format!("git.decoy.invalid:\n    user: decoy\n    oauth_token: {gh}\n");
        self.secret(".config/gh/hosts.yml", &gh, &text);
        let netrc = word(ALPHANUMERIC, 32);
        self.secret(".netrc", &netrc, &format!("machine decoy.invalid login decoy password {netrc}\n"));
        let vault = format!("hvs.{}", word(ALPHANUMERIC, 90));
        self.secret(".vault-token", &vault, &vault);
    }

    fn clouds(&mut self) {
        let id = format!("AKIA{}", word(BASE32, 16));
        let key = word(ALPHANUMERIC, 40);
        let text = format!("[default]\naws_access_key_id = {id}\naws_secret_access_key = {key}\n");
        self.secret(".aws/credentials", &key, &text);
        self.secrets.add(".aws/credentials", id.as_bytes());
        self.plain(".aws/config", "[default]\nregion = eu-central-1\n");
        let session = word(ALPHANUMERIC, 120);
        let text = format!("{{\"accessToken\":\"{session}\",\"region\":\"eu-central-1\"}}\n");
        let cache = format!(".aws/sso/cache/{}.json", word(HEX, 40));
        self.secret(&cache, &session, &text);
        let refresh = format!("1//0{}", word(ALPHANUMERIC, 95));
        let text = format!("{{\"type\":\"authorized_user\",\"refresh_token\":\"{refresh}\"}}\n");
        self.secret(".config/gcloud/application_default_credentials.json", &refresh, &text);
        let azure = word(ALPHANUMERIC, 200);
        let text = format!("{{\"RefreshToken\":{{\"decoy\":{{\"secret\":\"{azure}\"}}}}}}\n");
        self.secret(".azure/msal_token_cache.json", &azure, &text);
        self.plain(".azure/azureProfile.json", "{\"subscriptions\":[]}\n");
        let kube = base64(&bytes(120));
        let text =
            format!("apiVersion: v1\nkind: Config\nusers:\n- name: decoy\n  user:\n    token: {kube}\n");
        self.secret(".kube/config", &kube, &text);
        let terraform = format!("{}.atlasv1.{}", word(ALPHANUMERIC, 14), word(ALPHANUMERIC, 67));
        let text = format!("{{\"credentials\":{{\"tf.decoy.invalid\":{{\"token\":\"{terraform}\"}}}}}}\n");
        self.secret(".terraform.d/credentials.tfrc.json", &terraform, &text);
    }

    fn assistants(&mut self) {
        let claude = format!("sk-ant-oat01-{}", word(ALPHANUMERIC, 95));
        let text = format!("{{\"claudeAiOauth\":{{\"accessToken\":\"{claude}\"}}}}\n");
        self.secret(".claude/.credentials.json", &claude, &text);
        self.plain(".claude/settings.json", "{}\n");
        let codex = format!("sk-proj-{}", word(ALPHANUMERIC, 120));
        self.secret(".codex/auth.json", &codex, &format!("{{\"OPENAI_API_KEY\":\"{codex}\"}}\n"));
        let gemini = format!("ya29.{}", word(ALPHANUMERIC, 120));
        self.secret(".gemini/oauth_creds.json", &gemini, &format!("{{\"access_token\":\"{gemini}\"}}\n"));
        self.plain(".cursor/mcp.json", "{\"mcpServers\":{}}\n");
    }

    fn browsers_and_wallets(&mut self) {
        for name in [".config/google-chrome/Default/Login Data", ".config/google-chrome/Default/Cookies"] {
            let cookie = bytes(64);
            self.secret_bytes(name, &cookie, &[b"SQLite format 3\0".as_slice(), &cookie].concat());
        }
        let login = base64(&bytes(60));
        let text = format!("{{\"logins\":[{{\"encryptedPassword\":\"{login}\"}}]}}\n");
        self.secret(".mozilla/firefox/x.default/logins.json", &login, &text);
        self.plain(".mozilla/firefox/x.default/key4.db", "SQLite format 3\0");
        let solana = bytes(64);
        let text = format!("{solana:?}").replace(' ', "");
        self.secret(".config/solana/id.json", &text, &text);
        let wallets =
            [".ethereum/keystore/UTC--x", ".foundry/keystores/x", ".electrum/wallets/default_wallet"];
        for name in wallets {
            let key = hex(&bytes(64));
            self.secret(name, &key, &format!("{{\"crypto\":{{\"ciphertext\":\"{key}\"}}}}\n"));
        }
    }

    fn shells(&mut self) {
        for name in [".bashrc", ".zshrc", ".profile"] {
            self.plain(name, &format!("# decoy {name}\n"));
        }
        let typed = word(ALPHANUMERIC, 32);
        self.secret(".bash_history", &typed, &format!("ls\nmysql -u root -p{typed}\n"));
        for name in [".config/systemd/user", ".config/autostart", ".local/bin", "bin"] {
            fs::create_dir_all(self.path.join(name)).expect("make an empty directory in the home");
        }
    }

    fn secret(&mut self, name: &str, value: &str, text: &str) {
        self.secret_bytes(name, value.as_bytes(), text.as_bytes());
    }

    fn secret_bytes(&mut self, name: &str, value: &[u8], content: &[u8]) {
        self.secrets.add(name, value);
        self.write(name, content, 0o600);
    }

    fn plain(&self, name: &str, text: &str) {
        self.write(name, text.as_bytes(), 0o644);
    }

    fn write(&self, name: &str, content: &[u8], mode: u32) {
        let path = self.path.join(name);
        let parent = path.parent().expect("a file in the home has a parent");
        fs::create_dir_all(parent).expect("make a directory in the home");
        fs::write(&path, content).expect("write a decoy");
        fs::set_permissions(&path, fs::Permissions::from_mode(mode)).expect("set the mode of a decoy");
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_home_has_secrets_of_its_own() {
        let folder = tempfile::tempdir().expect("a directory");
        let one = Home::furnish(&folder.path().join("one"));
        let two = Home::furnish(&folder.path().join("two"));
        for name in [".npmrc", ".ssh/id_ed25519", ".aws/credentials", ".config/solana/id.json"] {
            let content = fs::read(one.path().join(name)).expect("a decoy");
            assert!(one.secrets().find_in(&content).is_some(), "{name} holds no secret");
            assert_eq!(two.secrets().find_in(&content), None, "{name} is the same in both homes");
        }
        let public = fs::read(one.path().join(".ssh/id_ed25519.pub")).expect("a decoy");
        assert_eq!(one.secrets().find_in(&public), None);
    }
}

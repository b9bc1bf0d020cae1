//! Pages that need nothing but themselves: escaped text, and a policy that forbids all else.

use sha2::{Digest, Sha256};

use crate::base64::base64;

/// Text as it may stand between tags and in quoted attributes.
pub(crate) fn escape(text: &str) -> String {
    let mut escaped = String::with_capacity(text.len());
    for c in text.chars() {
        match c {
            '&' => escaped.push_str("&amp;"),
            '<' => escaped.push_str("&lt;"),
            '>' => escaped.push_str("&gt;"),
            '"' => escaped.push_str("&quot;"),
            '\'' => escaped.push_str("&#39;"),
            _ => escaped.push(c),
        }
    }
    escaped
}

/// A page under construction.
pub(crate) struct Page {
    title: String,
    style: String,
    scripts: Vec<String>,
    body: String,
    webassembly: bool,
    viewer: bool,
}

impl Page {
    pub(crate) fn new(title: &str, style: &str) -> Self {
        Self {
            title: escape(title),
            style: style.to_owned(),
            scripts: Vec::new(),
            body: String::new(),
            webassembly: false,
            viewer: false,
        }
    }

    /// A script, run after the body.
    pub(crate) fn script(&mut self, script: &str) {
        // The only way out of a script element.
        self.scripts.push(script.replace("</script", "<\\/script"));
    }

    /// Lets scripts of this page compile the WebAssembly that they carry.
    pub(crate) fn allow_webassembly(&mut self) {
        self.webassembly = true;
    }

    /// Lets the viewer decode the data in this page: pictures and volumes out of its own memory, nothing else.
    pub(crate) fn allow_viewer(&mut self) {
        self.viewer = true;
    }

    /// Appends markup; text in it has to be escaped already.
    pub(crate) fn push(&mut self, markup: &str) {
        self.body.push_str(markup);
    }

    /// The page as a file. No part of it may come from anywhere else: every style and script is named in its
    /// Content-Security-Policy by its hash.
    pub(crate) fn finish(self) -> String {
        let hashes = |parts: &[String]| {
            let named = parts.iter().map(|part| format!(" 'sha256-{}'", base64(&Sha256::digest(part))));
            named.collect::<String>()
        };
        let viewer = if self.viewer { " blob:" } else { "" };
        let connect = if self.viewer { "data: blob:" } else { "'none'" };
        let wasm = if self.webassembly { " 'wasm-unsafe-eval'" } else { "" };
        let policy = format!(
            "default-src 'none'; img-src data:{viewer}; font-src data:; connect-src {connect}; style-src{}; \
             script-src{}{wasm}; base-uri 'none'; form-action 'none'",
            hashes(std::slice::from_ref(&self.style)),
            if self.scripts.is_empty() { " 'none'".into() } else { hashes(&self.scripts) },
        );
        let Self { title, style, body, .. } = &self;
        let mut text = format!(
            "<!DOCTYPE html>\n<html lang=\"en\">\n<head>\n<meta charset=\"utf-8\">\n\
             <meta http-equiv=\"Content-Security-Policy\" content=\"{policy}\">\n\
             <meta name=\"viewport\" content=\"width=device-width, initial-scale=1\">\n\
             <meta name=\"color-scheme\" content=\"light dark\">\n\
             <meta name=\"referrer\" content=\"no-referrer\">\n<title>{title}</title>\n\
             <link rel=\"icon\" href=\"data:,\">\n"
        );
        text.push_str(&format!("<style>{style}</style>\n</head>\n<body>\n{body}"));
        for script in &self.scripts {
            text.push_str(&format!("<script>{script}</script>\n"));
        }
        text.push_str("</body>\n</html>\n");
        text
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn text_cannot_become_markup() {
        assert_eq!(escape("<a href=\"x\">R&D's</a>"), "&lt;a href=&quot;x&quot;&gt;R&amp;D&#39;s&lt;/a&gt;");
    }

    /// `printf 'b{}' | openssl dgst -sha256 -binary | base64`, and of `let x="<\/script>"`.
    #[test]
    fn the_policy_names_what_the_page_contains() {
        let mut page = Page::new("a<b", "b{}");
        page.script("let x=\"</script>\"");
        let text = page.finish();
        assert!(text.contains("<title>a&lt;b</title>"));
        assert!(text.contains("default-src 'none'"));
        assert!(text.contains("style-src 'sha256-7yqHVAesot11p6HczDsgKRipvI5UPgs97z80zNXlans='"), "{text}");
        assert!(text.contains("script-src 'sha256-6tkuRrp601hFdEGKw7gPULCFR/RrU/TcjBIEQ9Z379g=';"), "{text}");
    }
}

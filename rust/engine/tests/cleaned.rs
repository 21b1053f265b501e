//! Texts that ftfy and Python clean, with what they make of them: those by which broken cleanings were told apart.

use cliptok::{Engine, Profile, clean, fix_text};
use serde_json::Value;

#[test]
fn cleaned_as_the_references_do() {
    let cases: Value = serde_json::from_str(include_str!("cleaned.json")).unwrap();
    let cases = cases.as_array().unwrap();
    assert!(!cases.is_empty());
    let engine = Engine::clip(Profile::OpenClip);
    for case in cases {
        let [text, fixed, open_clip] = ["text", "fixed", "open_clip"].map(|name| case[name].as_str().unwrap());
        assert_eq!(fix_text(text), fixed, "{text:?}");
        assert_eq!(clean(text, Profile::OpenClip), open_clip, "{text:?}");
        assert!(engine.needs_cleaning(text), "{text:?}");
    }
    assert_eq!(clean("  \u{201c}A&amp;\u{201d}", Profile::Transformers), "  \u{201c}A&amp;\u{201d}");
}

/// Plain text in any script is not gone through a second time.
#[test]
fn clean_texts_need_no_cleaning() {
    for text in
        ["a photo of a cat", "caf\u{e9} na\u{ef}ve", "\u{4f60}\u{597d}", "rock & roll &; &", "\u{43f}\u{440}", ""]
    {
        for (_, profile) in Profile::NAMES {
            assert!(!Engine::clip(profile).needs_cleaning(text), "{text:?}");
        }
    }
    assert!(!Engine::clip(Profile::Transformers).needs_cleaning("\u{201c}&amp;\u{201d}"));
}

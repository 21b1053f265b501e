//! The golden cases, which the Python tests share: hard strings with the ids that the references give.

use cliptok::{Engine, Profile};
use serde_json::Value;

#[test]
fn golden_cases() {
    let cases: Value = serde_json::from_str(include_str!("../../../tests/golden.json")).unwrap();
    let cases = cases.as_array().unwrap();
    let (mut compared, mut total) = (0, 0);
    for (name, profile) in Profile::NAMES {
        for engine in (0..).map_while(|number| Engine::clip(profile).with_instructions(number)) {
            let [start, end] = engine.start_and_end();
            for case in cases {
                total += 1;
                let text = case["text"].as_str().unwrap();
                let ids = case["ids"][name].as_array().unwrap();
                let wanted: Vec<u32> = ids.iter().map(|id| id.as_u64().unwrap() as u32).collect();
                let got = [vec![start], engine.encode(text), vec![end]].concat();
                assert_eq!(got, wanted, "{name}: {text:?}");
                compared += 1;
            }
        }
    }
    assert!(compared == total && total >= 4 * cases.len(), "{compared} of {total} cases compared");
}

//! What is kept in `benches/record` and rests on the sources as they are.

use std::path::Path;

/// R7.5: the cost of crash safety can be measured again: each piece of the patch that takes it out stands in its file as
/// `git apply` wants it, line by line, wherever it has moved. Without git, for trees that are no checkout.
#[test]
fn the_patch_without_crash_safety_applies() {
    let root = Path::new(env!("CARGO_MANIFEST_DIR")).parent().unwrap();
    let patch = root.join("benches/record/without-crash-safety.patch");
    let patch = format!("\n{}", std::fs::read_to_string(patch).unwrap());
    let mut applied = 0;
    for file in patch.split("\ndiff --git ").skip(1) {
        let mut hunks = file.split("\n@@ ");
        let head = hunks.next().unwrap();
        let path = head.lines().find_map(|line| line.strip_prefix("+++ b/")).unwrap();
        let source = std::fs::read_to_string(root.join(path)).unwrap();
        let mut rest = source.as_str();
        for hunk in hunks {
            let old = hunk.lines().skip(1).filter(|line| !line.starts_with('+'));
            let old: String =
                old.map(|line| format!("{}\n", line.get(1..).unwrap_or(""))).collect();
            let at = rest.find(&old).unwrap_or_else(|| {
                panic!("{path} has changed where without-crash-safety.patch says @@ {hunk}\nWrite the patch anew (docs/benchmarks.md, `What crash safety costs`)")
            });
            rest = &rest[at + old.len()..];
            applied += 1;
        }
    }
    assert!(applied > 0, "the patch changes nothing");
}

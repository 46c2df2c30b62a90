//! Extensions are found again from the private state alone.

use super::*;
use crate::private::extension::index::{ExtensionIndex, look};

fn open(index: &mut ExtensionIndex, party: &Party) -> Vec<Address> {
    while !index.look_on(&party.reader()).unwrap() {}
    index.open(&party.reader()).unwrap().iter().map(|extension| extension.management).collect()
}

#[test]
fn extensions_are_found_while_they_go_on() {
    let mut scene = Scene::new(PrivacyMode::PartyProtection);
    let mut index = ExtensionIndex::default();
    assert_eq!(open(&mut index, &scene.parties[C]), Vec::<Address>::new());
    scene.begin();
    let first = scene.management;
    assert_eq!(open(&mut index, &scene.parties[C]), [first]);
    let found = look(&scene.parties[C].reader(), &first).unwrap().unwrap();
    assert_eq!((found.creation, found.flag, found.state.vote), (scene.begun, 1, None));
    assert_eq!(found.state.key, party_key(C).to_string());
    assert_eq!((found.state.contract, found.state.creator), (scene.contract, sender(CREATOR)));
    assert_eq!(found.state.recipient, sender(RECIPIENT));
    assert_eq!(look(&scene.parties[C].reader(), &scene.contract).unwrap(), None);
    assert_eq!(look(&scene.parties[A].reader(), &scene.contract).unwrap(), None);
    scene.begin();
    let second = scene.management;
    assert_eq!(open(&mut index, &scene.parties[C]), [first, second]);
    scene.vote(false, "");
    assert_eq!(open(&mut index, &scene.parties[C]), [first]);
    assert_eq!(open(&mut ExtensionIndex::default(), &scene.parties[C]), [first]);
    assert!(look(&scene.parties[C].reader(), &second).unwrap().unwrap().state.finished);
}

#[test]
fn what_was_found_before_the_state_was_led_back_is_looked_for_again() {
    let mut scene = Scene::new(PrivacyMode::Standard);
    scene.begin();
    let mut index = ExtensionIndex::default();
    assert_eq!(open(&mut index, &scene.parties[A]), [scene.management]);
    let begun = scene.begun;
    scene.parties[A].erased(&(begun, Lookup::Erased));
    assert!(matches!(scene.parties[A].follower.erased(&begun).unwrap(), Arrived::LedBack(_)));
    scene.parties[A].catch_up();
    assert_eq!(open(&mut index, &scene.parties[A]), Vec::<Address>::new());
}

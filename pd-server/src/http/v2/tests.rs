//! The document against the routes.

use super::*;

/// The routes as they are written in the code: what the document must have.
const ROUTES: [&str; 5] = [
    "/pd/api/v2/health",
    "/pd/api/v2/map",
    "/pd/api/v2/openapi.json",
    "/pd/api/v2/why/region/{id}",
    "/pd/api/v2/why/store/{id}",
];

#[test]
fn each_route_is_in_the_document_with_its_answers() {
    let (_, document) = described();
    for route in ROUTES {
        let item =
            document.paths.paths.get(route).unwrap_or_else(|| panic!("{route} is not in the document"));
        let get = item.get.as_ref().unwrap();
        assert!(get.responses.responses.contains_key("200"), "{route}");
        assert!(get.summary.is_some(), "{route} says what it is for");
    }
}

#[test]
fn each_reference_in_the_document_can_be_followed() {
    let (_, document) = described();
    let text = serde_json::to_string(&document).unwrap();
    let schemas = &document.components.as_ref().unwrap().schemas;
    for reference in text.split("#/components/schemas/").skip(1) {
        let name = reference.split('"').next().unwrap();
        assert!(schemas.contains_key(name), "{name} is missing");
    }
    assert!(schemas.contains_key("Health") && schemas.contains_key("Why") && schemas.contains_key("KeyMap"));
}

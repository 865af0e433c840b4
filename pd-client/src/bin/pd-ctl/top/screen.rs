//! What the person at the keyboard has chosen, and what each key does. The keys are those of the web page.

use crossterm::event::{KeyCode, KeyEvent, KeyEventKind, KeyModifiers};

use super::picture::Picture;

/// What fills the middle.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub enum Page {
    /// A bit of everything.
    #[default]
    Overview,
    /// Stores.
    Stores,
    /// Operators.
    Operators,
    /// The key space.
    Keys,
    /// Members.
    Members,
}

impl Page {
    /// What the web page calls it in its URL.
    pub fn fragment(self) -> &'static str {
        match self {
            Page::Overview => "#/overview",
            Page::Stores => "#/stores",
            Page::Operators => "#/operators",
            Page::Keys => "#/keys",
            Page::Members => "#/members",
        }
    }
}

/// The state of the screen.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Screen {
    /// The page.
    pub page: Page,
    /// The row that is pointed at.
    pub row: usize,
    /// Whether the picture is held still.
    pub paused: bool,
    /// What is being typed after `/`.
    pub search: Option<String>,
    /// The pane of reasons, line by line.
    pub pane: Option<Vec<String>>,
    /// Lines of it above the screen.
    pub scroll: usize,
    /// A word about the last key.
    pub notice: Option<String>,
    /// Whether `g` was pressed, which waits for a page's letter.
    going: bool,
}

/// What a key asks of the world outside.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Wish {
    /// Leave.
    Quit,
    /// Tell why: of a `region` or a `store`.
    Why(&'static str, u64),
    /// Copy the page's address.
    Copy(Page),
}

const HELP: [&str; 10] = [
    "g o  overview     g s  stores       g p  operators",
    "g k  key space    g m  members",
    "j k  down and up through the rows, or through these lines (arrows do, too)",
    "w    why: of the row that is pointed at (Enter does, too)",
    "/    search: an id of a region, `store 4`, or a part of an address",
    "Space  hold the picture still, or let it go on",
    "y    copy the address of the web page that shows the same",
    "Esc  close",
    "q    quit",
    "Words and shapes say the same as colours. Grey numbers are old.",
];

impl Screen {
    /// The overview without a row that is pointed at.
    pub fn unattended() -> Screen {
        Screen { row: usize::MAX, ..Screen::default() }
    }

    /// Takes a key in.
    pub fn key(&mut self, key: KeyEvent, picture: &Picture) -> Option<Wish> {
        if key.kind == KeyEventKind::Release {
            return None;
        }
        if key.modifiers.contains(KeyModifiers::CONTROL) && key.code == KeyCode::Char('c') {
            return Some(Wish::Quit);
        }
        self.notice = None;
        if self.search.is_some() {
            return self.typed(key.code, picture);
        }
        if std::mem::take(&mut self.going) {
            return self.go(key.code);
        }
        match key.code {
            KeyCode::Char('q') => return Some(Wish::Quit),
            KeyCode::Char('g') => self.going = true,
            KeyCode::Char('/') => self.search = Some(String::new()),
            KeyCode::Char('j') | KeyCode::Down if self.pane.is_some() => self.scroll += 1,
            KeyCode::Char('k') | KeyCode::Up if self.pane.is_some() => {
                self.scroll = self.scroll.saturating_sub(1);
            }
            KeyCode::Char('j') | KeyCode::Down => {
                self.row = (self.row + 1).min(self.rows(picture).saturating_sub(1));
            }
            KeyCode::Char('k') | KeyCode::Up => self.row = self.row.saturating_sub(1),
            KeyCode::Char('w') | KeyCode::Enter => return self.why(picture),
            KeyCode::Char('y') => return Some(Wish::Copy(self.page)),
            KeyCode::Char(' ') => self.paused = !self.paused,
            KeyCode::Char('?') => self.show(HELP.map(str::to_owned).to_vec()),
            KeyCode::Esc => self.pane = None,
            _ => {}
        }
        None
    }

    /// Opens the pane at its first line.
    pub fn show(&mut self, lines: Vec<String>) {
        (self.pane, self.scroll) = (Some(lines), 0);
    }

    fn go(&mut self, letter: KeyCode) -> Option<Wish> {
        let page = match letter {
            KeyCode::Char('o') => Page::Overview,
            KeyCode::Char('s') => Page::Stores,
            KeyCode::Char('p') => Page::Operators,
            KeyCode::Char('k') => Page::Keys,
            KeyCode::Char('m') => Page::Members,
            _ => {
                self.notice = Some("behind g come o s p k m".to_owned());
                return None;
            }
        };
        (self.page, self.row, self.pane) = (page, 0, None);
        None
    }

    fn typed(&mut self, key: KeyCode, picture: &Picture) -> Option<Wish> {
        let text = self.search.get_or_insert_default();
        match key {
            KeyCode::Char(letter) => text.push(letter),
            KeyCode::Backspace => {
                text.pop();
            }
            KeyCode::Esc => self.search = None,
            KeyCode::Enter => {
                let text = std::mem::take(text);
                self.search = None;
                return self.find(text.trim(), picture);
            }
            _ => {}
        }
        None
    }

    /// A number is a Region, `store N` a store, anything else a part of a store's address.
    fn find(&mut self, text: &str, picture: &Picture) -> Option<Wish> {
        if let Ok(region) = text.trim_start_matches("region ").parse() {
            return Some(Wish::Why("region", region));
        }
        if let Some(Ok(store)) = text.strip_prefix("store ").map(str::parse) {
            return Some(Wish::Why("store", store));
        }
        let found = picture.live_stores().position(|store| store.address.contains(text));
        match found {
            Some(row) => (self.page, self.row) = (Page::Stores, row),
            None => self.notice = Some(format!("nothing is called {text:?}")),
        }
        None
    }

    fn why(&mut self, picture: &Picture) -> Option<Wish> {
        let wish = match self.page {
            Page::Overview | Page::Stores => {
                picture.live_stores().nth(self.row).map(|store| Wish::Why("store", store.id))
            }
            Page::Operators => {
                picture.open_operators().nth(self.row).map(|operator| Wish::Why("region", operator.region))
            }
            Page::Keys => {
                let mut troubled = picture.map.trouble.values().filter_map(|trouble| trouble.example);
                troubled.nth(self.row).map(|region| Wish::Why("region", region))
            }
            Page::Members => None,
        };
        if wish.is_none() {
            self.notice = Some("there is nothing to ask about in this row".to_owned());
        }
        wish
    }

    fn rows(&self, picture: &Picture) -> usize {
        match self.page {
            Page::Overview | Page::Stores => picture.live_stores().count(),
            Page::Operators => picture.open_operators().count(),
            Page::Keys => picture.map.trouble.len(),
            Page::Members => picture.members.len(),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::{Page, Picture, Screen, Wish};
    use crate::top::rows::StoreRow;
    use crossterm::event::{KeyCode, KeyEvent, KeyModifiers};

    fn press(screen: &mut Screen, picture: &Picture, keys: &str) -> Option<Wish> {
        let press = |letter| match letter {
            '\n' => KeyCode::Enter,
            '\u{1b}' => KeyCode::Esc,
            letter => KeyCode::Char(letter),
        };
        let codes = keys.chars().map(press);
        codes.map(|code| screen.key(KeyEvent::new(code, KeyModifiers::NONE), picture)).last().flatten()
    }

    fn picture() -> Picture {
        let mut picture = Picture::default();
        for id in [1, 4] {
            picture
                .stores
                .insert(id, StoreRow { id, address: format!("host-{id}:20160"), ..StoreRow::default() });
        }
        picture
    }

    #[test]
    fn from_a_row_to_its_reasons() {
        let (mut screen, picture) = (Screen::default(), picture());
        assert_eq!(
            press(&mut screen, &picture, "gsjjjw"),
            Some(Wish::Why("store", 4)),
            "the last row, not beyond"
        );
        assert_eq!(press(&mut screen, &picture, "kk\n"), Some(Wish::Why("store", 1)));
        assert_eq!(press(&mut screen, &picture, "gpw"), None);
        assert!(screen.notice.is_some());
    }

    #[test]
    fn search_finds_regions_stores_and_addresses() {
        let (mut screen, picture) = (Screen::default(), picture());
        assert_eq!(press(&mut screen, &picture, "/107\n"), Some(Wish::Why("region", 107)));
        assert_eq!(press(&mut screen, &picture, "/store 4\n"), Some(Wish::Why("store", 4)));
        assert_eq!(press(&mut screen, &picture, "/t-4\n"), None);
        assert_eq!((screen.page, screen.row), (Page::Stores, 1));
        assert_eq!(press(&mut screen, &picture, "/q\u{1b}"), None, "a letter in the search is no command");
        press(&mut screen, &picture, "/nobody\n");
        assert!(screen.notice.as_ref().unwrap().contains("nobody"));
    }

    #[test]
    fn an_open_pane_is_what_moves() {
        let (mut screen, picture) = (Screen::default(), picture());
        press(&mut screen, &picture, "j?jjjk");
        assert_eq!((screen.row, screen.scroll), (1, 2));
        press(&mut screen, &picture, "?");
        assert_eq!(screen.scroll, 0, "what is opened begins at its first line");
        press(&mut screen, &picture, "\u{1b}k");
        assert_eq!((screen.row, screen.pane.is_some()), (0, false));
    }

    #[test]
    fn leaving_and_holding() {
        let (mut screen, picture) = (Screen::default(), picture());
        press(&mut screen, &picture, " ");
        assert!(screen.paused);
        assert_eq!(press(&mut screen, &picture, "gmy"), Some(Wish::Copy(Page::Members)));
        assert_eq!(press(&mut screen, &picture, "q"), Some(Wish::Quit));
    }
}

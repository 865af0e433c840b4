//! `top`: the cluster in a terminal, as it goes on; or one plain frame of it.

mod events;
mod feed;
mod frame;
mod look;
mod picture;
mod rows;
mod screen;
mod strip;
mod tables;
mod terminal;
#[cfg(test)]
mod tests;

use std::io::IsTerminal;
use std::time::Duration;

use crossterm::event::Event as Input;
use http::Method;
use ratatui::Terminal;
use ratatui::backend::TestBackend;
use tokio::signal::unix::{SignalKind, signal};
use tokio::sync::mpsc;
use tokio::time::{MissedTickBehavior, interval};

use crate::answer::{Answer, Form};
use crate::command::{Args, Command, Flag, Work};
use crate::failure::Failure;
use crate::session::Session;
use crate::{health, units, why};
use events::Event;
use feed::News;
use look::Look;
use picture::Picture;
use screen::{Screen, Wish};
use terminal::Taken;

/// At most four frames a second follow the news; keys are answered at once.
const FRAME: Duration = Duration::from_millis(250);

/// The screen of old, for output that has no size.
const USUAL_SIZE: (u16, u16) = (80, 24);

/// `top`.
pub fn command() -> Command {
    let work = Work::Flow(|session, args| Box::pin(top(session, args)));
    Command::new("top", "", "watch the cluster (exit code of one frame: as status)", work).flag(Flag::switch(
        "once",
        None,
        "one plain frame, also on a terminal",
    ))
}

async fn top(session: Session, args: Args) -> Result<Answer, Failure> {
    args.exactly::<0>()?;
    let on_terminal = std::io::stdout().is_terminal() && std::io::stdin().is_terminal();
    if args.is_set("once") || !on_terminal || session.form == Form::Json {
        return once(&session).await;
    }
    watch(session).await
}

/// One frame without colours, and the verdict's exit code. Only the verdict must be had: the rest may be missing.
async fn once(session: &Session) -> Result<Answer, Failure> {
    let (json, health) = health::ask(session).await?;
    let now_ms = units::now_ms();
    let mut picture = Picture::default();
    let mut answers = vec![("health", json)];
    for (topic, path) in feed::questions().into_iter().filter(|(topic, _)| *topic != "health") {
        // All of one frame from one member: the one whose verdict it is.
        let asked = match &health.endpoint {
            Some(endpoint) => session.http.ask(endpoint, &Method::GET, &path, None, false).await,
            None => session.http.send(&Method::GET, &path, None, false).await,
        };
        answers.extend(asked.ok().filter(|reply| reply.status.is_success()).map(|reply| (topic, reply.body)));
    }
    for (topic, data) in &answers {
        picture.take(&Event { topic: (*topic).to_owned(), data: data.clone() }, now_ms);
    }
    let look = Look { colour: false, ..Look::of_environment() };
    let (width, height) = size();
    let text = plain_frame(&picture, look, now_ms, width, height)?;
    let json = picture::data(&answers);
    Ok(Answer { code: health.code(), ..Answer::told(text, json) })
}

fn size() -> (u16, u16) {
    let on_terminal = std::io::stdout().is_terminal();
    let size =
        crossterm::terminal::size().ok().filter(|(width, height)| on_terminal && *width > 0 && *height > 0);
    size.unwrap_or(USUAL_SIZE)
}

/// A frame as lines of text, without the footer of keys, which nobody can press.
fn plain_frame(
    picture: &Picture,
    look: Look,
    now_ms: u64,
    width: u16,
    height: u16,
) -> Result<String, Failure> {
    let cannot = |error: std::convert::Infallible| Failure::here(format!("{error}\n"));
    let mut terminal = Terminal::new(TestBackend::new(width, height)).map_err(cannot)?;
    let screen = Screen::unattended();
    terminal.draw(|frame| frame::draw(frame, picture, &screen, look, now_ms)).map_err(cannot)?;
    let lines = lines(&terminal);
    let body = lines.split_last().map_or(&[][..], |(_, body)| body);
    Ok(body.iter().filter(|line| !line.is_empty()).map(|line| format!("{line}\n")).collect())
}

/// What stands on the screen, line by line.
fn lines(terminal: &Terminal<TestBackend>) -> Vec<String> {
    let buffer = terminal.backend().buffer();
    let row = |y| (0..buffer.area.width).map(|x| buffer[(x, y)].symbol()).collect::<String>();
    (0..buffer.area.height).map(|y| row(y).trim_end().to_owned()).collect()
}

/// The live screen, until `q` or a signal.
async fn watch(session: Session) -> Result<Answer, Failure> {
    let look = Look::of_environment();
    let broken = |error: std::io::Error| Failure::here(format!("the terminal: {error}\n"));
    let mut hangup = signal(SignalKind::hangup()).map_err(broken)?;
    let mut terminate = signal(SignalKind::terminate()).map_err(broken)?;
    let mut interrupt = signal(SignalKind::interrupt()).map_err(broken)?;
    let mut taken = Taken::take().map_err(broken)?;
    let (send, mut news) = mpsc::channel(feed::NEWS_MAX);
    let (tell, mut told) = mpsc::channel(1);
    let follower = tokio::spawn(feed::follow(session.clone(), send));
    let mut keys = terminal::keys();
    let (mut live, mut screen) = (Picture::default(), Screen::default());
    let mut held: Option<Picture> = None;
    let mut frames = interval(FRAME);
    frames.set_missed_tick_behavior(MissedTickBehavior::Delay);
    let mut code = 0;
    loop {
        let mut draw = false;
        tokio::select! {
            _ = frames.tick() => draw = true,
            Some(happened) = news.recv() => match happened {
                News::Event(event) => live.take(&event, units::now_ms()),
                News::Broken(why) => live.broken = Some(why),
            },
            Some(lines) = told.recv() => {
                screen.show(lines);
                draw = true;
            }
            input = keys.recv() => {
                // The reader of keys has ended: so has the terminal.
                let Some(input) = input else { break };
                draw = true;
                if let Input::Key(key) = input {
                    let shown = held.as_ref().unwrap_or(&live);
                    match screen.key(key, shown) {
                        None => {}
                        Some(Wish::Quit) => break,
                        Some(Wish::Why(kind, id)) => ask(&session, kind, id, tell.clone()),
                        Some(Wish::Copy(page)) => {
                            let url = page_url(&session, page);
                            let copied = taken.copy(&url).map(|()| format!("copied {url}"));
                            screen.notice = Some(copied.unwrap_or(url));
                        }
                    }
                    held = screen.paused.then(|| held.unwrap_or_else(|| live.clone()));
                }
            }
            _ = hangup.recv() => { code = 129; break }
            _ = interrupt.recv() => { code = 130; break }
            _ = terminate.recv() => { code = 143; break }
        }
        if draw {
            let picture = held.as_ref().unwrap_or(&live);
            let now_ms = units::now_ms();
            let size = taken.terminal.size().map_err(broken)?;
            let pane = screen.pane.as_deref().unwrap_or_default();
            screen.scroll = screen.scroll.min(frame::scroll_max(pane, size.width, size.height));
            taken
                .terminal
                .draw(|frame| frame::draw(frame, picture, &screen, look, now_ms))
                .map_err(broken)?;
        }
    }
    follower.abort();
    drop(taken);
    Ok(Answer { code, ..Answer::words("") })
}

/// Asks for reasons beside the screen, which goes on; only the newest answer is kept.
fn ask(session: &Session, kind: &'static str, id: u64, tell: mpsc::Sender<Vec<String>>) {
    let session = session.clone();
    tokio::spawn(async move {
        let lines = match why::ask(&session, kind, id).await {
            Ok((_, why)) => why.lines(units::now_ms()),
            Err(failure) => failure.words.lines().map(str::to_owned).collect(),
        };
        // The screen may be gone by now.
        let _ = tell.send(lines).await;
    });
}

/// The web page that shows the same.
fn page_url(session: &Session, page: screen::Page) -> String {
    let endpoint = session.http.endpoints().first().map_or("", String::as_str);
    format!("{endpoint}/dashboard/{}", page.fragment())
}

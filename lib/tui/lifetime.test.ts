/**
 * How a run ends and what it needs of the terminal: quitting, signals, crashes, Ctrl-Z, locales, dumb terminals. The
 * real program in a pseudo-terminal.
 */
import { expect, setDefaultTimeout, test } from "bun:test";
import { Pty } from "./pty.fixture.ts";

// Each starts a program and looks at several screens of it.
setDefaultTimeout(30_000);

test("a second Ctrl-C quits, with the terminal as it was", async () => {
  await using pty = new Pty();
  await pty.talk();
  pty.type("left behind\x03\x03");
  expect(await pty.exited()).toBe(0);
  for (const restored of ["\x1b[?2004l", "\x1b[?25h", "\x1b[?7h"]) expect(pty.raw).toContain(restored);
});

test("Ctrl-D quits on an empty line only", async () => {
  await using pty = new Pty();
  await pty.talk();
  pty.type("ab\x1b[D\x04");
  await pty.prompt("bob → carol › a");
  pty.type("\x7f\x04");
  expect(await pty.exited()).toBe(0);
});

test("leaving waits for what is not acknowledged, and says what stayed open", async () => {
  await using pty = new Pty();
  await pty.signIn();
  pty.happen({ do: "lose" });
  pty.happen({ do: "offline", reason: "no replica answers" });
  await pty.see("not connected");
  pty.type("/msg carol important\r/quit\r");
  await pty.see("Waiting for 1 acknowledgement");
  pty.type("\x03");
  expect(await pty.exited()).toBe(0);
  expect(pty.everything.join("\n")).toContain("bob → carol: important · not acknowledged: it may arrive or not");
});

test("the client giving up ends the run with its reason", async () => {
  await using pty = new Pty();
  await pty.signIn();
  pty.happen({ do: "close", reason: "the server speaks version 7, this program version 1" });
  expect(await pty.exited()).toBe(69);
  expect(pty.everything.join("\n")).toContain("the server speaks version 7");
});

test.each(["SIGTERM", "SIGHUP"] as const)("%s ends it with the terminal restored", async (signal) => {
  await using pty = new Pty();
  await pty.signIn();
  pty.process.kill(signal);
  expect(await pty.exited()).toBe(signal === "SIGTERM" ? 143 : 129);
  expect(pty.raw).toContain("\x1b[?2004l");
});

test("a crash restores the terminal before it is reported", async () => {
  await using pty = new Pty();
  await pty.signIn();
  pty.happen({ do: "throw" });
  expect(await pty.exited()).not.toBe(0);
  expect(pty.raw.indexOf("\x1b[?2004l")).toBeGreaterThan(0);
  expect(pty.raw.indexOf("\x1b[?2004l")).toBeLessThan(pty.raw.indexOf("thrown on purpose"));
});

test.each(["SIGTERM", "SIGHUP"] as const)("%s on a page gives the usual screen back", async (signal) => {
  await using pty = new Pty();
  await pty.signIn();
  pty.process.kill(signal);
  await pty.exited();
  // eslint-disable-next-line no-control-regex
  expect(pty.raw.match(/\x1b\[\?1049[hl]/g)).toEqual(["\x1b[?1049h", "\x1b[?1049l"]);
  await pty.see("Welcome back, bob!");
});

test("a crash on a page gives the usual screen back before it is reported", async () => {
  await using pty = new Pty();
  await pty.signIn();
  pty.happen({ do: "throw" });
  expect(await pty.exited()).not.toBe(0);
  expect(pty.raw.indexOf("\x1b[?1049l")).toBeGreaterThan(0);
  expect(pty.raw.indexOf("\x1b[?1049l")).toBeLessThan(pty.raw.indexOf("thrown on purpose"));
});

/** A shell that, once the client has stopped, says so and brings it back. */
const underShell = {
  wrap: (command: readonly string[]): string[] => [
    "bash",
    "--norc",
    "--noprofile",
    "-i",
    "-c",
    `set -m; ${command.join(" ")}; echo back in the shell; fg; exit`,
  ],
  environment: { PS1: "$ " },
};

test("Ctrl-Z on a page gives the shell its screen, and fg the page", async () => {
  await using pty = new Pty(underShell);
  await pty.signIn();
  pty.type("a");
  await pty.see("finds names");
  pty.type("\x1a");
  await pty.until("the shell has its screen", () => pty.journal.includes("back in the shell"));
  await pty.until("the page is back", () => pty.rows[0]?.startsWith("Accounts") === true);
  pty.type("\x1b");
  await pty.home();
});

test("a password is not echoed after a stop from outside, when the shell has taken raw mode away", async () => {
  await using pty = new Pty(underShell);
  await pty.prompt("User name:");
  pty.type("bob\r");
  await pty.prompt("Password:");
  const { stdout } = Bun.spawnSync(["pgrep", "-P", String(pty.process.pid)]);
  process.kill(Number(stdout.toString().trim()), "SIGSTOP");
  await pty.see("back in the shell");
  await pty.prompt("Password:");
  pty.type("bob-password");
  await pty.until("it is masked", () => /^Password: [^a-z]{12}$/.test(pty.cursorRow));
  expect(pty.raw).not.toContain("bob-p");
  pty.type("\r");
  await pty.home();
});

test("the bell rings for messages only when it was asked for", async () => {
  await using pty = new Pty();
  await pty.talk();
  pty.happen({ do: "message", from: "carol", text: "quiet" });
  await pty.see("carol: quiet");
  expect(pty.raw).not.toContain("\x07");
  pty.type("/bell on\r");
  await pty.see("A message to you rings the bell.");
  pty.happen({ do: "message", from: "mia", text: "loud" });
  await pty.see("mia: loud");
  expect(pty.raw.split("\x07")).toHaveLength(2);
});

test("Ctrl-Z gives the terminal to the shell, and fg brings the draft back", async () => {
  await using pty = new Pty(underShell);
  await pty.talk();
  pty.type("draft");
  await pty.prompt("bob → carol › draft");
  pty.type("\x1a");
  await pty.see("back in the shell");
  await pty.prompt("bob → carol › draft");
  pty.type("!");
  await pty.prompt("bob → carol › draft!");
});

test("without a UTF-8 locale nothing but ASCII is written", async () => {
  await using pty = new Pty({ environment: { LANG: "C" } });
  await pty.prompt("User name:");
  pty.type("bob\r");
  await pty.prompt("Password:");
  pty.type("bob-password\r");
  await pty.until("home is on the screen", () => pty.rows[0]?.startsWith("chatd - bob") === true);
  pty.type("/to carol\r");
  await pty.prompt("bob -> carol >");
  pty.happen({ do: "message", from: "carol", text: "caf\u00e9" });
  await pty.see("carol: caf\\u{e9}");
  // eslint-disable-next-line no-control-regex
  expect(pty.raw).toMatch(/^[\x00-\x7f]*$/);
});

test("NO_COLOR means no colours", async () => {
  await using pty = new Pty({ environment: { NO_COLOR: "1" } });
  await pty.signIn();
  pty.type("/status\r");
  await pty.see("policy available");
  // eslint-disable-next-line no-control-regex
  expect(pty.raw.replaceAll("\x1b[0m", "")).not.toMatch(/\x1b\[[0-9;]*m/);
});

test("a dumb terminal gets plain lines and no control sequences, and echoes no password", async () => {
  await using pty = new Pty({ environment: { TERM: "dumb" } });
  await pty.see("User name:");
  pty.type("bob\r");
  await pty.see("Password (empty: back):");
  pty.type("bob-password\r");
  await pty.see("2 messages wait in your inbox");
  pty.type("/msg carol hi\r");
  await pty.see("message 1 on 3 disks");
  pty.type("/quit\r");
  expect(await pty.exited()).toBe(0);
  expect(pty.raw).not.toContain("bob-password");
  expect(pty.raw).not.toContain("\x1b");
});

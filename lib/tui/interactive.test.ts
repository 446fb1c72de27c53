/**
 * The interactive client as a person sees it: the real program in a pseudo-terminal, its screen read by an emulator.
 */
import { afterEach, describe, expect, test } from "bun:test";
import { Pty, type PtyOptions } from "./testing/pty.ts";

let open: Pty | null = null;

function start(options: Partial<PtyOptions> = {}): Pty {
  open = new Pty({ columns: 80, rows: 24, ...options });
  return open;
}

afterEach(async () => {
  await open?.close();
  open = null;
});

async function signIn(pty: Pty, user = "bob"): Promise<void> {
  await pty.prompt("User name:");
  pty.type(`${user}\r`);
  await pty.prompt("Password:");
  pty.type(`${user}-password\r`);
  await pty.prompt(`${user} ›`);
}

const sizes = [
  { columns: 80, rows: 24 },
  { columns: 40, rows: 12 },
];

describe.each(sizes)("at $columns columns", (size) => {
  test("a new name is welcomed, gets a password twice and three lines of explanation", async () => {
    const pty = start(size);
    await pty.prompt("User name:");
    pty.type("alice\r");
    await pty.see("Welcome, new user!");
    await pty.prompt("New password:");
    pty.type("short\r");
    await pty.see("at least 8 bytes");
    pty.type("\x15alice-password\r");
    await pty.prompt("Once more:");
    pty.type("another-password\r");
    await pty.see("The two passwords differ.");
    await pty.prompt("New password:");
    pty.type("alice-password\ralice-password\r");
    await pty.prompt("alice ›");
    await pty.see("Talk to someone");
    expect(pty.raw).not.toContain("alice-password");
  });

  test("a known name is welcomed back; a wrong password can be typed again; the inbox is counted and read", async () => {
    const pty = start(size);
    await pty.prompt("User name:");
    pty.type("BOB\r");
    await pty.see("Welcome back, bob!");
    await pty.prompt("Password:");
    pty.type("not-it-at-all\r");
    await pty.see("That password is wrong.");
    pty.type("bob-password\r");
    await pty.prompt("bob ›");
    await pty.see("2 messages wait in your inbox");
    pty.type("/open\r");
    await pty.see("carol: lunch?");
    await pty.see("mia: hello");
    await pty.see("2 messages opened");
  });

  test("Escape goes back to the name", async () => {
    const pty = start(size);
    await pty.prompt("User name:");
    pty.type("mai\r");
    await pty.prompt("New password:");
    pty.type("secret\x1b");
    await pty.prompt("User name: mai");
    pty.type("\x7f\x7fia\r");
    await pty.see("Welcome back, mia!");
  });

  test("messages, notices and a move to another replica appear above a draft and leave it as it is", async () => {
    const pty = start(size);
    await signIn(pty);
    pty.type("/to carol\r");
    await pty.prompt("bob → carol ›");
    pty.type("half a dra");
    await pty.prompt("bob → carol › half a dra");
    const { column } = pty.cursor;
    pty.happen({ do: "message", from: "mia", text: "are you there?" });
    await pty.see("mia: are you there?");
    pty.happen({ do: "notice", text: "a fork was merged" });
    await pty.see("a fork was merged");
    pty.happen({ do: "lose" });
    pty.happen({ do: "find", replica: 2, afterMs: 143, copies: 2 });
    await pty.see("replica 1 lost · now on replica 2");
    await pty.see("2 of 3 disks");
    expect(pty.cursorRow).toBe("bob → carol › half a dra");
    expect(pty.cursor.column).toBe(column);
    pty.type("ft\r");
    await pty.see("bob → carol: half a draft · on 2 of 3 disks");
    await pty.prompt("bob → carol ›");
  });

  test("ten pasted lines are one message, and none is lost", async () => {
    const pty = start(size);
    await signIn(pty);
    pty.type("/to carol\r");
    await pty.prompt("bob → carol ›");
    pty.type("see: ");
    const lines = Array.from({ length: 10 }, (_, at) => `line ${at}`);
    pty.paste(`${lines.join("\r\n")}\r\n`);
    await pty.see("10 lines: Enter sends them");
    expect(pty.text).not.toContain("· on 3 disks");
    pty.type("\r");
    await pty.see("· on 3 disks");
    const shown = pty.everything.join("\n");
    expect(shown).toContain(
      `bob → carol: see: line 0\n${lines
        .slice(1)
        .map((line) => `  ${line}`)
        .join("\n")}`,
    );
  });

  test("hostile text can neither act on the terminal nor pass for a line of its own", async () => {
    const pty = start(size);
    await signIn(pty);
    pty.type("draft");
    await pty.prompt("bob › draft");
    pty.happen({
      do: "message",
      from: "mia",
      text: "\x1b[2J\x1b[1;1H\x9b31mgone\u202e\r12:00 carol: forged\x07\x1b]0;t\x07",
    });
    await pty.see("forged");
    const row = pty.rows.find((each) => each.includes("forged")) ?? "";
    expect(row.startsWith("  12:00 carol: forged")).toBe(true);
    expect(pty.rows.join("\n")).toContain("Password:");
    expect(pty.cursorRow).toBe("bob › draft");
  });
});

test("the terminal's window becomes narrow and wide again around a draft", async () => {
  const pty = start();
  await signIn(pty);
  pty.type("/to carol\r");
  await pty.prompt("bob → carol ›");
  const draft = "a draft that is a good deal longer than forty columns";
  pty.type(draft);
  await pty.prompt(`bob → carol › ${draft}`);
  pty.resize(40, 12);
  await pty.until("the draft is windowed", () => /^bob → carol › ….*columns$/.test(pty.cursorRow));
  expect(pty.rows.join("\n")).toContain("carol is away");
  pty.happen({ do: "message", from: "mia", text: "in a narrow window now, are you not?" });
  await pty.see("are you not?");
  pty.resize(80, 24);
  await pty.prompt(`bob → carol › ${draft}`);
  expect(pty.rows.filter((row) => row.includes("›") && row.includes("carol ›"))).toHaveLength(1);
});

test("the draft survives Escape, Ctrl-C, and messages go out later in order when the connection is away", async () => {
  const pty = start();
  await signIn(pty);
  pty.type("/to carol\r");
  await pty.prompt("bob → carol ›");
  pty.happen({ do: "lose" });
  pty.happen({ do: "offline", reason: "no replica answers" });
  await pty.see("not connected: what you send goes out");
  await pty.see("replica 1 lost");
  for (const text of ["one", "two", "three", "four"]) pty.type(`${text}\r`);
  await pty.see("→ carol: one · sending…");
  await pty.see("and 2 more waiting");
  pty.type("draft\x1b");
  await pty.see("the draft is kept");
  pty.type("\x03");
  await pty.see("press Ctrl-C again to quit");
  expect(pty.cursorRow).toBe("bob → carol › draft");
  pty.type("!");
  await pty.until("another key takes the warning away", () => !pty.rows.join("\n").includes("press Ctrl-C"));
  pty.happen({ do: "find", replica: 3, afterMs: 2100, copies: 1 });
  await pty.see("now on replica 3 after 2.1 s");
  await pty.see("four · on 1 disk: degraded");
  const sent = pty.rows.filter((row) => row.includes("on 1 disk: degraded") && row.includes("bob → carol:"));
  expect(sent.map((row) => /carol: (\w+)/.exec(row)?.[1])).toEqual(["one", "two", "three", "four"]);
  await pty.prompt("bob → carol › draft!");
});

test("a second Ctrl-C quits, with the terminal as it was", async () => {
  const pty = start();
  await signIn(pty);
  pty.type("left behind\x03\x03");
  expect(await pty.exited()).toBe(0);
  for (const restored of ["\x1b[?2004l", "\x1b[?25h", "\x1b[?7h"]) expect(pty.raw).toContain(restored);
});

test("Ctrl-D quits on an empty line only", async () => {
  const pty = start();
  await signIn(pty);
  pty.type("ab\x1b[D\x04");
  await pty.prompt("bob › a");
  pty.type("\x7f\x04");
  expect(await pty.exited()).toBe(0);
});

test("leaving waits for what is not acknowledged, and says what stayed open", async () => {
  const pty = start();
  await signIn(pty);
  pty.happen({ do: "lose" });
  pty.happen({ do: "offline", reason: "no replica answers" });
  await pty.see("not connected");
  pty.type("/msg carol important\r/quit\r");
  await pty.see("Waiting for 1 acknowledgement");
  pty.type("\x03");
  expect(await pty.exited()).toBe(0);
  expect(pty.everything.join("\n")).toContain("bob → carol: important · not acknowledged: it may arrive or not");
});

test("what is refused is called failed, with the reason; a command mistyped stays to be corrected", async () => {
  const pty = start();
  await signIn(pty);
  pty.type("/msg nobody hi\r");
  await pty.see("failed: There is no account named nobody.");
  pty.type("/inbxo\r");
  await pty.see("did you mean /inbox?");
  await pty.prompt("bob › /inbxo");
  pty.type("\x15hello\r");
  await pty.see("nobody to send to yet");
  await pty.prompt("bob › hello");
});

test("earlier lines come back with the arrow, and the draft after them", async () => {
  const pty = start();
  await signIn(pty);
  pty.type("/inbox\r/accounts m*\r");
  await pty.see("1 account matches m*");
  pty.type("draft\x1b[A");
  await pty.prompt("bob › /accounts m*");
  pty.type("\x1b[A");
  await pty.prompt("bob › /inbox");
  pty.type("\x1b[B\x1b[B");
  await pty.prompt("bob › draft");
});

test("Tab completes commands and the names that are known", async () => {
  const pty = start();
  await signIn(pty);
  pty.type("/accounts\r");
  await pty.see("3 accounts");
  pty.type("/to c\t");
  await pty.prompt("bob › /to carol");
  pty.type("\x15/s\t");
  await pty.prompt("bob › /status");
});

test("accounts are listed before signing in", async () => {
  const pty = start();
  await pty.prompt("User name:");
  pty.type("/accounts *a*\r");
  await pty.see("2 accounts match *a*");
  await pty.see("away: carol, mia");
  pty.type("/to bob\r");
  await pty.see("/to needs you to sign in first.");
  await pty.prompt("User name:");
});

test("too much for one message is asked about, and goes line by line or back to the draft", async () => {
  const pty = start();
  await signIn(pty);
  pty.type("/to carol\r");
  await pty.prompt("bob → carol ›");
  const lines = Array.from({ length: 3 }, (_, at) => `${at}`.repeat(2000));
  pty.paste(lines.join("\n"));
  await pty.see("3 lines");
  pty.type("\r");
  await pty.see("Send it line by line?");
  pty.type("\r");
  await pty.until("the draft is back", () => pty.cursorRow.startsWith("bob → carol › …"));
  pty.type("\r");
  await pty.see("● No, go on editing");
  pty.type("\x1b[B\r");
  await pty.until("three messages", () => pty.everything.filter((row) => row.includes("on 3 disks")).length >= 4);
  await pty.prompt("bob → carol ›");
});

test("an account is deleted only after asking and with its password", async () => {
  const pty = start();
  await signIn(pty);
  pty.type("/delete-account\r");
  await pty.see("Delete bob for good?");
  pty.type("\x1b");
  await pty.prompt("bob ›");
  pty.type("/delete-account\r");
  await pty.see("○ Yes, delete bob");
  pty.type("\x1b[B\r");
  await pty.prompt("Password:");
  pty.type("bob-password\r");
  await pty.see("The account bob is deleted.");
  await pty.prompt("User name:");
  pty.type("bob\r");
  await pty.see("Welcome, new user!");
});

test("being logged out leads back to signing in, with the draft kept for after", async () => {
  const pty = start();
  await signIn(pty);
  pty.type("unfinished");
  await pty.prompt("bob › unfinished");
  pty.happen({ do: "log-out", reason: "the password was changed" });
  await pty.see("You were logged out: the password was changed");
  await pty.prompt("User name:");
  pty.type("bob\r");
  await pty.prompt("Password:");
  pty.type("bob-password\r");
  await pty.prompt("bob › unfinished");
});

test("after some idle seconds a warning, then the logout", async () => {
  const pty = start({ environment: { CHAT_IDLE: "1" } });
  await signIn(pty);
  pty.type("kept");
  await pty.see("logging out in 0.5 s");
  await pty.see("Logged out because nothing was typed.");
  await pty.prompt("User name:");
});

test("the client giving up ends the run with its reason", async () => {
  const pty = start();
  await signIn(pty);
  pty.happen({ do: "close", reason: "the server speaks version 7, this program version 1" });
  expect(await pty.exited()).toBe(69);
  expect(pty.everything.join("\n")).toContain("the server speaks version 7");
});

test.each(["SIGTERM", "SIGHUP"] as const)("%s ends it with the terminal restored", async (signal) => {
  const pty = start();
  await signIn(pty);
  pty.process.kill(signal);
  expect(await pty.exited()).toBe(signal === "SIGTERM" ? 143 : 129);
  expect(pty.raw).toContain("\x1b[?2004l");
});

test("a crash restores the terminal before it is reported", async () => {
  const pty = start();
  await signIn(pty);
  pty.happen({ do: "throw" });
  expect(await pty.exited()).not.toBe(0);
  expect(pty.raw.indexOf("\x1b[?2004l")).toBeGreaterThan(0);
  expect(pty.raw.indexOf("\x1b[?2004l")).toBeLessThan(pty.raw.indexOf("thrown on purpose"));
});

test("Ctrl-Z gives the terminal to the shell, and fg brings the draft back", async () => {
  const wrap = (command: readonly string[]): string[] => [
    "bash",
    "--norc",
    "--noprofile",
    "-i",
    "-c",
    `set -m; ${command.join(" ")}; echo back in the shell; fg; exit`,
  ];
  const pty = start({ wrap, environment: { PS1: "$ " } });
  await signIn(pty);
  pty.type("draft");
  await pty.prompt("bob › draft");
  pty.type("\x1a");
  await pty.see("back in the shell");
  await pty.prompt("bob › draft");
  pty.type("!");
  await pty.prompt("bob › draft!");
});

test("without a UTF-8 locale nothing but ASCII is written", async () => {
  const pty = start({ environment: { LANG: "C" } });
  await pty.prompt("User name:");
  pty.type("bob\r");
  await pty.prompt("Password:");
  pty.type("bob-password\r");
  await pty.prompt("bob >");
  pty.type("/to carol\r");
  await pty.prompt("bob -> carol >");
  pty.happen({ do: "message", from: "mia", text: "caf\u00e9" });
  await pty.see("mia: caf\\u{e9}");
  // eslint-disable-next-line no-control-regex
  expect(pty.raw).toMatch(/^[\x00-\x7f]*$/);
});

test("NO_COLOR means no colours", async () => {
  const pty = start({ environment: { NO_COLOR: "1" } });
  await signIn(pty);
  pty.type("/status\r");
  await pty.see("policy available");
  // eslint-disable-next-line no-control-regex
  expect(pty.raw.replaceAll("\x1b[0m", "")).not.toMatch(/\x1b\[[0-9;]*m/);
});

test("a dumb terminal gets plain lines and no control sequences, and echoes no password", async () => {
  const pty = start({ environment: { TERM: "dumb" } });
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

/**
 * Golden screens of the interactive client, at the usual size and at a narrow one. The real program in a pseudo-terminal,
 * its screen read by an emulator; see `golden-screen.fixture.ts`.
 */
import { describe, expect, setDefaultTimeout, test } from "bun:test";
import { expectScreen } from "./golden-screen.fixture.ts";
import { Pty } from "./pty.fixture.ts";

// Each starts a program and looks at several screens of it.
setDefaultTimeout(30_000);

const sizes = [
  { columns: 80, rows: 24 },
  { columns: 40, rows: 12 },
];

describe.each(sizes)("at $columns columns", (size) => {
  test("signing in for the first time, and the home of a newcomer", async () => {
    await using pty = new Pty(size);
    await expectScreen(pty, "sign-in", () => pty.cursorRow === "User name:" && pty.text.includes("3 disks"));
    pty.type("alice\r");
    await expectScreen(pty, "sign-in-new", () => pty.cursorRow === "New password:");
    pty.type("alice-password\ralice-password\r");
    await pty.home("alice");
    await expectScreen(pty, "home-new", () => pty.text.includes("twice quits."));
    expect(pty.raw).not.toContain("alice-password");
  });

  test("home, its unread conversations first, live", async () => {
    await using pty = new Pty(size);
    await pty.signIn();
    await expectScreen(pty, "home", () => pty.text.includes("carol 1 new") && pty.text.includes("2 wait"));
    pty.type("i");
    await expectScreen(pty, "inbox", () => pty.cursorRow.startsWith("Open how many"));
    pty.type("\r");
    await expectScreen(pty, "inbox-opened", () => pty.text.includes("2 messages opened"));
    pty.type("\x1b");
    await pty.home();
    pty.happen({ do: "message", from: "carol", text: "are you\nthere?" });
    pty.happen({ do: "message", from: "carol", text: "I am." });
    await expectScreen(pty, "home-unread", () => pty.text.includes("2 new I am."));
    pty.type("\x1b[B\x1b[B");
    await expectScreen(pty, "home-moved", () => pty.cursorRow.startsWith("› w"));
  });

  test("a conversation, with messages arriving while a line is typed", async () => {
    await using pty = new Pty(size);
    await pty.talk();
    await pty.see("carol is away");
    pty.type("half a li");
    await pty.prompt("bob → carol › half a li");
    pty.happen({ do: "message", from: "carol", text: "first line\nsecond line" });
    pty.happen({ do: "message", from: "mia", text: "psst" });
    await expectScreen(pty, "conversation-typing", () => pty.text.includes("psst"));
    pty.type("ne\r");
    await expectScreen(pty, "conversation-sent", () => pty.text.includes("half a line · on 3 disks"));
    pty.type("\t");
    await expectScreen(
      pty,
      "conversation-next-unread",
      () => pty.cursorRow === "bob → mia ›" && pty.text.includes("mia is away"),
    );
  });

  test("older messages on a page, marked and deleted", async () => {
    await using pty = new Pty(size);
    await pty.talk();
    await pty.see("carol is away");
    for (let at = 1; at <= 30; at += 1) pty.type(`message ${at}\r`);
    await pty.until("all are sent", () => pty.text.includes("message 30 · on 3 disks"));
    pty.type("unfinished\x1b[5~");
    await expectScreen(pty, "history", () => pty.text.includes("Space marks") && pty.text.includes("message 30"));
    pty.type("\x1b[5~");
    pty.type("  ");
    await expectScreen(pty, "history-marked", () => pty.text.includes("marks (2)"));
    pty.type("d");
    await pty.see("Delete 2 messages?");
    pty.type("\x1b[B\r");
    await expectScreen(
      pty,
      "history-deleted",
      () => pty.text.includes("2 messages deleted.") && !pty.text.includes("marks (2)"),
    );
    pty.type("\x1b");
    await pty.prompt("bob → carol › unfinished");
  });

  test("searching, in all conversations and in one", async () => {
    await using pty = new Pty(size);
    await pty.talk();
    for (const text of ["lunch at noon", "nothing", "no lunch"]) pty.type(`${text}\r`);
    await pty.see("no lunch · on 3 disks");
    pty.type("\x1b");
    await pty.home();
    pty.type("s");
    await pty.prompt("Search for:");
    pty.type("lunch");
    await expectScreen(pty, "search", () => pty.cursorRow === "Search for: lunch");
    pty.type("\r");
    await expectScreen(pty, "search-found", () => pty.text.includes("carol: lunch?"));
    pty.type("\x1b/to carol\r");
    await pty.prompt("bob → carol ›");
    pty.type("/find noon\r");
    await expectScreen(
      pty,
      "search-in-conversation",
      () => pty.text.includes("Found with carol") && pty.text.includes("at noon"),
    );
  });

  test("accounts, the cluster, my account", async () => {
    await using pty = new Pty(size);
    await pty.signIn();
    pty.type("a");
    await expectScreen(pty, "accounts", () => pty.text.includes("mia"));
    pty.type("f*a*\r");
    await expectScreen(pty, "accounts-found", () => pty.text.includes("like *a*") && pty.text.includes("mia"));
    pty.type("\x1b");
    await pty.home();
    pty.type("c");
    await expectScreen(pty, "cluster", () => pty.rows[0] === "Cluster" && pty.text.includes("1 127.0.0.1"));
    pty.type("\x1b");
    await pty.home();
    pty.type("m");
    await expectScreen(pty, "account", () => pty.text.includes("Log out"));
  });

  test("drafts: begun, marked, changed, sent and deleted", async () => {
    await using pty = new Pty(size);
    await pty.signIn();
    pty.type("d");
    await pty.see("No drafts");
    for (const [to, text] of [
      ["carol", "lunch tomorrow?"],
      ["", "a thought"],
      ["mia", "hi"],
    ] as const) {
      pty.type("n");
      await pty.prompt("To (may stay empty):");
      pty.type(`${to}\r`);
      await pty.until("the text is asked for", () => pty.cursorRow.startsWith("Text"));
      pty.type(`${text}\r`);
      await pty.see(`${to === "" ? "nobody yet" : to}: ${text}`);
    }
    await expectScreen(
      pty,
      "drafts",
      () => pty.text.includes("lunch tomorrow?") && pty.rows[0]?.endsWith("3") === true,
    );
    pty.type("  s");
    await pty.see("names nobody");
    pty.type("\x1b[H\r");
    await pty.prompt("To (may stay empty): mia");
    pty.type("\r");
    await pty.until("the text is there", () => pty.cursorRow.startsWith("Text") && pty.cursorRow.endsWith("hi"));
    pty.type(" there\r");
    await pty.see("mia: hi there");
    pty.type("\x1b");
    await pty.home();
    await pty.see("Drafts 3");
    pty.type("d");
    await pty.see("mia: hi there");
    pty.type("s");
    await pty.see("1 draft sent.");
    await pty.until("it is gone", () => !pty.text.includes("hi there"));
    pty.type("d");
    await pty.see("Delete 1 draft for good?");
    pty.type("\x1b[B\r");
    await pty.see("1 draft deleted.");
    pty.type("\x1b");
    await pty.home();
    await pty.see("Drafts 1");
    pty.type("/to mia\r");
    await pty.see("bob → mia: hi there");
  });

  test("my account: another password, and sessions that are ended", async () => {
    await using pty = new Pty(size);
    await pty.signIn();
    pty.type("ms");
    await expectScreen(pty, "sessions", () => pty.text.includes("this one"));
    pty.type("d");
    await pty.see("/logout ends it");
    pty.type("\x1b[Bd");
    await pty.see("End 1 session?");
    pty.type("\x1b[B\r");
    await pty.see("1 session ended.");
    pty.type("\x1b");
    await pty.see("My account");
    pty.type("p");
    await pty.prompt("Old password:");
    pty.type("bob-password\r");
    await pty.prompt("New password:");
    pty.type("new-password\r");
    await pty.prompt("Once more:");
    pty.type("new-password\r");
    await pty.see("The password is changed");
    expect(pty.raw).not.toContain("new-password");
  });

  test("a failover while a line is typed: what was sent meanwhile goes out in order", async () => {
    await using pty = new Pty(size);
    await pty.talk();
    await pty.see("carol is away");
    pty.type("one\r");
    await pty.see("one · on 3 disks");
    pty.happen({ do: "lose" });
    pty.type("two\rthree\rfour\rfive\r");
    pty.type("half a li");
    pty.happen({ do: "offline", reason: "no replica answers" });
    await expectScreen(
      pty,
      "failover-away",
      () => pty.text.includes("lines wait") && pty.text.includes("half a li") && pty.text.includes("2 more"),
    );
    pty.happen({ do: "find", replica: 2, afterMs: 143, copies: 1 });
    await expectScreen(pty, "failover-over", () => pty.text.includes("on 1 disk only now"));
    const order = ["one", "two", "three", "four", "five"].map((text) => pty.text.indexOf(`bob → carol: ${text}`));
    expect(order).toEqual([...order].sort((one, other) => one - other));
  });

  test("ten pasted lines are one message, edited before it goes", async () => {
    await using pty = new Pty(size);
    await pty.talk();
    await pty.see("carol is away");
    pty.type("see: ");
    pty.paste(`${Array.from({ length: 10 }, (_, at) => `line ${at}`).join("\r\n")}\r\n`);
    await expectScreen(pty, "paste", () => pty.text.includes("10 lines: Enter sends"));
    pty.type("\x1b[D0\r");
    await expectScreen(pty, "paste-sent", () => pty.text.includes("line 09 · on 3 disks"));
  });
});

test("the window becomes narrow and wide again, on a page and around a draft", async () => {
  await using pty = new Pty();
  await pty.signIn();
  pty.resize(40, 12);
  await expectScreen(
    pty,
    "resized-home",
    () => pty.cursorRow.startsWith("›") && pty.rows.at(-1)?.startsWith("Enter opens") === true,
  );
  pty.type("/to carol\r");
  await pty.prompt("bob → carol ›");
  await pty.see("carol is away");
  const draft = "a draft that is a good deal longer than forty columns";
  pty.type(draft);
  await pty.until("the draft is windowed", () => /^bob → carol › ….*columns$/.test(pty.cursorRow));
  pty.resize(80, 24);
  await pty.prompt(`bob → carol › ${draft}`);
  pty.type("\x1b");
  await expectScreen(pty, "resized-back", () => pty.text.includes("carol draft"));
});

test.each([
  { columns: 80, rows: 24 },
  { columns: 40, rows: 20 },
])("more conversations than rows: the letters of the menu are told at $columns columns", async (size) => {
  await using pty = new Pty(size);
  await pty.signIn();
  await pty.see("2 wait");
  for (let at = 10; at < 40; at += 1) pty.happen({ do: "message", from: `friend${at}`, text: `hello ${at}` });
  await expectScreen(pty, "home-many", () => pty.text.includes("friend39 1 new hello 39"));
  pty.type("\x1b[F");
  await expectScreen(pty, "home-many-end", () => pty.cursorRow.startsWith("› q  Quit"));
});

describe("Ctrl-C", () => {
  const signedIn = (pty: Pty) => pty.signIn();
  const talking = (pty: Pty) => pty.talk();
  const prompts: readonly [where: string, go: (pty: Pty) => Promise<void>, keys: string, there: string][] = [
    ["the name", async () => {}, "", "User name:"],
    ["a new password", async () => {}, "zoe\r", "New password:"],
    ["a new password again", async () => {}, "zoe\rzoe-password\r", "Once more:"],
    ["the password", async () => {}, "bob\r", "Password:"],
    ["home", signedIn, "", "Enter opens"],
    ["a command", signedIn, "/ac", "bob › /ac"],
    ["whom to write to", signedIn, "wca", "To (Tab completes): ca"],
    ["the inbox", signedIn, "i", "Open how many (Enter: 2):"],
    ["accounts", signedIn, "a", "finds names"],
    ["a pattern", signedIn, "af", "Names like"],
    ["my account", signedIn, "m", "chooses"],
    ["the old password", signedIn, "mp", "Old password:"],
    ["sessions", signedIn, "ms", "Sessions"],
    ["drafts", signedIn, "d", "No drafts"],
    ["whom a draft is to", signedIn, "dn", "To (may stay empty):"],
    ["the text of a draft", signedIn, "dncarol\r", "Text"],
    ["deleting it", signedIn, "mx", "Delete bob for good?"],
    ["its password", signedIn, "mx\x1b[B\r", "Password:"],
    ["a conversation", talking, "hel", "bob → carol › hel"],
    ["older messages", talking, "\x1b[5~", "Space marks"],
  ];

  test.each(prompts)("at %s warns first, then quits with the terminal as it was", async (_where, go, keys, there) => {
    await using pty = new Pty();
    await pty.prompt("User name:");
    await go(pty);
    pty.type(keys);
    await pty.until(`"${there}" is there`, () => pty.rows.join(" ").includes(there));
    pty.type("\x03");
    await pty.until("the warning is there", () => pty.rows.join(" ").includes("press Ctrl-C again to quit"));
    pty.type("\x03");
    expect(await pty.exited()).toBe(0);
    expect(pty.raw.lastIndexOf("\x1b[?1049l")).toBeGreaterThanOrEqual(pty.raw.lastIndexOf("\x1b[?1049h"));
    for (const restored of ["\x1b[?2004l", "\x1b[?25h", "\x1b[?7h"]) expect(pty.raw).toContain(restored);
  });
});

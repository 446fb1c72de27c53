/**
 * The interactive client as a person sees it: the real program in a pseudo-terminal, its screen read by an emulator.
 */
import { describe, expect, setDefaultTimeout, test } from "bun:test";
import { Pty } from "./pty.fixture.ts";

// Each starts a program and looks at several screens of it.
setDefaultTimeout(30_000);

const sizes = [
  { columns: 80, rows: 24 },
  { columns: 40, rows: 12 },
];

describe.each(sizes)("at $columns columns", (size) => {
  test("a new name is welcomed, gets a password twice and three lines of explanation", async () => {
    await using pty = new Pty(size);
    await pty.prompt("User name:");
    pty.type("alice\r");
    await pty.see("Welcome, new user!");
    await pty.prompt("New password:");
    pty.type("short\r");
    await pty.see("at least 8 bytes");
    await pty.prompt("New password:");
    pty.type("alice-password\r");
    await pty.prompt("Once more:");
    pty.type("another-password\r");
    await pty.see("The two passwords differ.");
    await pty.prompt("New password:");
    pty.type("alice-password\ralice-password\r");
    await pty.home("alice");
    await pty.see("w and a name begins a conversation.");
    expect(pty.raw).not.toContain("alice-password");
  });

  test("a known name is welcomed back; a wrong password can be typed again; the inbox is counted and read", async () => {
    await using pty = new Pty(size);
    await pty.prompt("User name:");
    pty.type("BOB\r");
    await pty.see("Welcome back, bob!");
    await pty.prompt("Password:");
    pty.type("not-it-at-all\r");
    await pty.see("That password is wrong.");
    pty.type("bob-password\r");
    await pty.home();
    await pty.see("2 messages wait in your inbox");
    pty.type("i");
    await pty.prompt("Open how many (Enter: 2):");
    pty.type("\r");
    await pty.see("2 messages opened");
    await pty.see("carol: (new) lunch?");
    await pty.see("mia: (new) hello");
  });

  test("Escape goes back to the name", async () => {
    await using pty = new Pty(size);
    await pty.prompt("User name:");
    pty.type("mai\r");
    await pty.prompt("New password:");
    pty.type("secret\x1b");
    await pty.prompt("User name: mai");
    pty.type("\x7f\x7fia\r");
    await pty.see("Welcome back, mia!");
  });

  test("messages, notices and a move to another replica appear above a draft and leave it as it is", async () => {
    await using pty = new Pty(size);
    await pty.talk();
    pty.type("half a dra");
    await pty.prompt("bob → carol › half a dra");
    const { column } = pty.cursor;
    pty.happen({ do: "message", from: "carol", text: "are you there?" });
    await pty.see("carol: are you there?");
    pty.happen({ do: "message", from: "mia", text: "and you?" });
    await pty.see("mia: and you? (Tab opens)");
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
    await using pty = new Pty(size);
    await pty.talk();
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
    await using pty = new Pty(size);
    await pty.talk("mia");
    pty.type("draft");
    await pty.prompt("bob → mia › draft");
    pty.happen({
      do: "message",
      from: "mia",
      text: "\x1b[2J\x1b[1;1H\x9b31mgone\u202e\r12:00 carol: forged\x07\x1b]0;t\x07",
    });
    await pty.see("forged");
    const row = pty.rows.find((each) => each.includes("forged")) ?? "";
    expect(row.startsWith("  12:00 carol: forged")).toBe(true);
    expect(pty.rows.join("\n")).toContain("–– mia ––");
    expect(pty.cursorRow).toBe("bob → mia › draft");
  });
});

test("the terminal's window becomes narrow and wide again around a draft", async () => {
  await using pty = new Pty();
  await pty.signIn();
  pty.type("/to carol\r");
  await pty.prompt("bob → carol ›");
  const draft = "a draft that is a good deal longer than forty columns";
  pty.type(draft);
  await pty.prompt(`bob → carol › ${draft}`);
  pty.resize(40, 12);
  await pty.until("the draft is windowed", () => /^bob → carol › ….*columns$/.test(pty.cursorRow));
  expect(pty.rows.join("\n")).toContain("carol is away");
  pty.happen({ do: "message", from: "carol", text: "in a narrow window now, are you not?" });
  await pty.see("are you not?");
  pty.resize(80, 24);
  await pty.prompt(`bob → carol › ${draft}`);
  expect(pty.rows.filter((row) => row.includes("›") && row.includes("carol ›"))).toHaveLength(1);
});

test("the draft survives Escape, Ctrl-C, and messages go out later in order when the connection is away", async () => {
  await using pty = new Pty();
  await pty.signIn();
  pty.type("/to carol\r");
  await pty.prompt("bob → carol ›");
  pty.happen({ do: "lose" });
  pty.happen({ do: "offline", reason: "no replica answers" });
  await pty.see("not connected: lines wait to be sent");
  await pty.see("replica 1 lost");
  for (const text of ["one", "two", "three", "four"]) pty.type(`${text}\r`);
  await pty.see("→ carol: one · sending…");
  await pty.see("and 2 more waiting");
  pty.type("draft\x1b");
  await pty.home();
  await pty.see("carol draft");
  await pty.see("4 messages sending");
  pty.type("/to carol\r");
  await pty.prompt("bob → carol › draft");
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

test("a conversation is begun without a connection too: who that is turns out later", async () => {
  await using pty = new Pty();
  await pty.signIn();
  pty.happen({ do: "lose" });
  pty.happen({ do: "offline", reason: "no replica answers" });
  await pty.see("not connected: lines wait to be sent");
  pty.type("w");
  await pty.prompt("To (Tab completes):");
  pty.type("MIA\r");
  await pty.prompt("bob → MIA ›");
  pty.type("hello\r");
  await pty.see("→ MIA: hello · sending…");
  pty.happen({ do: "find", replica: 3, afterMs: 2100, copies: 2 });
  await pty.see("hello · on 2 of 3 disks");
  await pty.prompt("bob → mia ›");
  pty.type("\x1b");
  await pty.home();
  pty.happen({ do: "lose" });
  await pty.until("it is away", () => pty.rows[0]?.includes("not connected") === true);
  pty.type("w");
  await pty.prompt("To (Tab completes):");
  pty.type("nobody\r");
  await pty.prompt("bob → nobody ›");
  pty.happen({ do: "find", replica: 1, afterMs: 2100, copies: 3 });
  await pty.home();
  await pty.see("There is no account named nobody: you talk to nobody now.");
});

test("what is refused is called failed, with the reason; a command mistyped stays to be corrected", async () => {
  await using pty = new Pty();
  await pty.signIn();
  pty.type("/msg nobody hi\r");
  await pty.see("failed: There is no account named nobody.");
  pty.type("/inbxo\r");
  await pty.see("did you mean /inbox?");
  await pty.prompt("bob › /inbxo");
  pty.type("\x15hello\r");
  await pty.see("nobody to send to yet");
  await pty.prompt("bob › hello");
  pty.type("\x1b");
  await pty.until("the line is gone", () => pty.rows.at(-1)?.startsWith("Enter opens") === true);
  pty.type("z");
  await pty.see("no such key here; there are Tab / Enter arrows");
});

test("earlier lines come back with the arrow, and the draft after them", async () => {
  await using pty = new Pty();
  await pty.talk();
  pty.type("/inbox\r/accounts m*\r");
  await pty.see("1 account matches m*");
  pty.type("draft\x1b[A");
  await pty.prompt("bob → carol › /accounts m*");
  pty.type("\x1b[A");
  await pty.prompt("bob → carol › /inbox");
  pty.type("\x1b[B\x1b[B");
  await pty.prompt("bob → carol › draft");
});

test("an earlier line that is only looked at takes the place of no line that was begun, here or elsewhere", async () => {
  await using pty = new Pty();
  await pty.talk();
  pty.type("earlier\r");
  await pty.see("earlier · on 3 disks");
  pty.type("to carol\x1b[A");
  await pty.prompt("bob → carol › earlier");
  pty.type("\x1b");
  await pty.home();
  pty.type("/to mia\r");
  await pty.prompt("bob → mia ›");
  pty.type("to mia\x1b[B");
  await pty.prompt("bob → mia › to mia");
  pty.type("\x1b");
  await pty.home();
  pty.type("/to carol\r");
  await pty.prompt("bob → carol › to carol");
});

test("who comes and goes is seen at once: at home, in the conversation, on the page of accounts", async () => {
  await using pty = new Pty();
  await pty.signIn();
  await pty.see("○ carol");
  pty.happen({ do: "presence", user: "carol", online: true, lastSeenAt: null });
  await pty.see("● carol");
  await pty.see("○ mia");
  pty.type("a");
  await pty.until("carol is online", () => pty.rows.some((row) => /● carol .*online$/.test(row)));
  pty.happen({ do: "presence", user: "carol", online: false, lastSeenAt: Date.UTC(2026, 0, 5, 9, 2) });
  await pty.until("carol has gone", () => pty.rows.some((row) => /○ carol .*last seen 09:02$/.test(row)));
  pty.type("\x1b");
  await pty.home();
  pty.type("/to carol\r");
  await pty.see("carol was last seen 09:02: messages wait in the inbox there");
  pty.happen({ do: "presence", user: "mia", online: true, lastSeenAt: null });
  pty.happen({ do: "presence", user: "carol", online: true, lastSeenAt: null });
  await pty.see("carol is online");
  expect(pty.text).not.toContain("mia is online");
  pty.type("/accounts\r");
  await pty.see("online: bob, carol, mia");
});

test("Tab completes commands and the names that are known", async () => {
  await using pty = new Pty();
  await pty.signIn();
  pty.type("/to c\t");
  await pty.prompt("bob › /to carol");
  pty.type("\x15/st\t");
  await pty.prompt("bob › /status");
});

test("who has no account cannot be talked to, and the line that was begun stays", async () => {
  await using pty = new Pty();
  await pty.talk();
  pty.type("/to nobody\rdear no");
  await pty.see("There is no account named nobody: you talk to nobody now.");
  await pty.home();
  pty.type("/to mia\r");
  await pty.prompt("bob → mia › dear no");
});

test("a draft that cannot be saved is asked for again as it was typed", async () => {
  await using pty = new Pty();
  await pty.signIn();
  pty.type("d");
  await pty.see("No drafts");
  pty.type("n");
  await pty.prompt("To (may stay empty):");
  pty.type("carl\rlunch tomorrow?\r");
  await pty.see("Not saved: There is no account named carl.");
  await pty.prompt("To (may stay empty): carl");
  pty.type("\x7fol\r");
  await pty.prompt("Text › lunch tomorrow?");
  pty.type("\r");
  await pty.see("→ carol: lunch tomorrow?");
});

test("nobody writes to themselves", async () => {
  await using pty = new Pty();
  await pty.signIn();
  pty.type("wBOB\r");
  await pty.see("That is you: nobody sends to themselves.");
  await pty.home();
});

test("what comes to a conversation that a page covers is told there, and shown and read when it is seen again", async () => {
  await using pty = new Pty();
  await pty.talk();
  pty.type("unfinished\x1b[5~");
  await pty.see("Space marks");
  pty.happen({ do: "message", from: "carol", text: "behind the page" });
  pty.happen({ do: "message", from: "carol", text: "once more" });
  await pty.until("it is told", () => pty.rows.filter((row) => row === "carol has written.").length === 2);
  pty.type("\x1b");
  await pty.prompt("bob → carol › unfinished");
  await pty.see("2 new messages:");
  expect(pty.text.match(/carol: behind the page/g)).toHaveLength(1);
});

test("accounts are listed before signing in", async () => {
  await using pty = new Pty();
  await pty.prompt("User name:");
  pty.type("/accounts *a*\r");
  await pty.see("2 accounts match *a*");
  await pty.see("away: carol, mia");
  pty.type("/to bob\r");
  await pty.see("/to needs you to sign in first.");
  await pty.prompt("User name:");
});

test("too much for one message is asked about, and goes line by line or back to the draft", async () => {
  await using pty = new Pty();
  await pty.signIn();
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
  await using pty = new Pty();
  await pty.signIn();
  pty.type("/delete-account\r");
  await pty.see("Delete bob for good?");
  pty.type("\x1b");
  await pty.until("the question is gone", () => !pty.text.includes("Delete bob for good?"));
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

test("being logged out leads back to signing in, with the draft kept for the same user", async () => {
  await using pty = new Pty();
  await pty.talk();
  pty.type("unfinished");
  await pty.prompt("bob → carol › unfinished");
  pty.happen({ do: "log-out", reason: "the password was changed" });
  await pty.see("You were logged out: the password was changed");
  await pty.prompt("User name:");
  pty.type("bob\r");
  await pty.prompt("Password:");
  pty.type("bob-password\r");
  await pty.home();
  await pty.see("carol draft");
  pty.type("/to carol\r");
  await pty.prompt("bob → carol › unfinished");
  pty.happen({ do: "log-out", reason: "again" });
  await pty.talk("carol", "mia");
});

test("after some idle seconds a warning, then the logout", async () => {
  await using pty = new Pty({ environment: { CHAT_IDLE: "1" } });
  await pty.signIn();
  pty.type("kept");
  await pty.see("logging out in 0.5 s");
  await pty.see("Logged out because nothing was typed.");
  await pty.prompt("User name:");
});

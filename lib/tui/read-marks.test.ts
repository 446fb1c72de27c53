/** What counts as read: what a person has had before their eyes. */
import { expect, setDefaultTimeout, test } from "bun:test";
import { Pty } from "./pty.fixture.ts";

// Each starts a program and looks at several screens of it.
setDefaultTimeout(30_000);

/** A conversation with two new messages, which cannot come. */
async function enterWithoutConnection(pty: Pty): Promise<void> {
  await pty.signIn();
  pty.happen({ do: "message", from: "carol", text: "are you there?" });
  await pty.see("carol 2 new");
  pty.happen({ do: "lose" });
  pty.type("/to carol\r");
  await pty.prompt("bob → carol ›");
}

test("on a page only what was in the window counts as read", async () => {
  await using pty = new Pty({ columns: 40, rows: 12 });
  await pty.signIn();
  for (let at = 1; at <= 30; at += 1) pty.happen({ do: "message", from: "carol", text: `number ${at}` });
  await pty.see("carol 31 new");
  pty.type("s");
  await pty.prompt("Search for:");
  pty.type("number\r");
  await pty.see("number 30");
  pty.type("\x1b");
  await pty.home();
  // Nine rows of the window are for messages.
  await pty.see("carol 22 new");
});

test("a conversation that was left before its messages came stays new, and shows them when it is entered again", async () => {
  await using pty = new Pty();
  await enterWithoutConnection(pty);
  pty.type("\x1b");
  await pty.home();
  pty.happen({ do: "find", replica: 2, afterMs: 1000, copies: 3 });
  await pty.see("now on replica 2");
  pty.type("/inbox\r");
  await pty.see("Your inbox is empty.");
  pty.type("/msg mia psst\r");
  await pty.see("psst · on 3 disks");
  await pty.until("they are new still", () => pty.rows.some((row) => /carol {2}2 new/.test(row)));
  pty.type("/to carol\r");
  await pty.prompt("bob → carol ›");
  await pty.see("2 new messages:");
  expect(pty.rows.join("\n").match(/carol: are you there\?/g)).toHaveLength(1);
});

test("messages that come while older ones are looked for are shown behind that", async () => {
  await using pty = new Pty();
  await enterWithoutConnection(pty);
  pty.type("\x1b[5~");
  await pty.see("Space marks");
  pty.happen({ do: "find", replica: 2, afterMs: 1000, copies: 3 });
  await pty.until("older ones are there", () => pty.rows.some((row) => row.includes("carol: (new) are you there?")));
  pty.type("\x1b");
  await pty.prompt("bob → carol ›");
  await pty.until("they are on the journal", () => pty.rows.some((row) => row.includes("carol: are you there?")));
});

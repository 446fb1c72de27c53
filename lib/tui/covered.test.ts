/** What commands lead to that are typed on a page: never to lines on the journal, which the page covers. */
import { setDefaultTimeout, test } from "bun:test";
import { Pty } from "./pty.fixture.ts";

// Each starts a program and looks at several screens of it.
setDefaultTimeout(30_000);

const small = { columns: 40, rows: 12 };

test("what /open takes out of the inbox is on the screen, also when it is typed at home", async () => {
  await using pty = new Pty(small);
  await pty.signIn();
  pty.type("/open\r");
  await pty.until("both are on the screen", () => {
    const shown = pty.rows.join("\n");
    return shown.includes("carol: (new) lunch?") && shown.includes("mia: (new) hello");
  });
});

test("/history at home shows what it marks read", async () => {
  await using pty = new Pty(small);
  await pty.signIn();
  pty.happen({ do: "message", from: "carol", text: "are you there?" });
  await pty.see("are you there?");
  pty.type("/history carol\r");
  await pty.until("it is on the screen", () => pty.rows.join("\n").includes("carol: (new) are you there?"));
  pty.type("\x1b");
  await pty.home();
  pty.type("/history nobody\r");
  await pty.until("nobody is told of", () => pty.rows.join("\n").includes("No messages."));
});

test("/delete at home leads to the messages of all conversations, to be marked there", async () => {
  await using pty = new Pty(small);
  await pty.signIn();
  for (let at = 1; at <= 9; at += 1) pty.happen({ do: "message", from: "carol", text: `number ${at}` });
  await pty.see("carol 10 new");
  pty.type("/delete\r");
  await pty.until("the newest is chosen", () => /carol: .*number 9/.test(pty.cursorRow));
  pty.type("\x1b[H");
  await pty.until("the oldest is chosen", () => pty.cursorRow.includes("number 1"));
  pty.type("d");
  await pty.see("Delete 1 message?");
});

test("all of /help can be read at home, in a small window too, and a command of it begun", async () => {
  await using pty = new Pty(small);
  await pty.signIn();
  pty.type("/help\r");
  await pty.until("its beginning is there", () => pty.rows[1]?.includes("/help") === true);
  pty.type("\x1b[F");
  await pty.until("its end is there", () => pty.cursorRow.includes("/quit"));
  pty.type("\x1b[H\x1b[B\r");
  await pty.prompt("bob › /to");
  pty.type("mia\r");
  await pty.prompt("bob → mia ›");
});

test("/drafts and /sessions at home lead to their pages, where all of them can be reached", async () => {
  await using pty = new Pty(small);
  await pty.signIn();
  for (let at = 1; at <= 9; at += 1) pty.type(`/draft number ${at}\r`);
  await pty.see("number 9");
  pty.type("/drafts\r");
  await pty.until("the page of drafts", () => pty.rows[0]?.startsWith("Drafts") === true);
  pty.type("\x1b[F");
  await pty.until("the oldest is chosen", () => pty.cursorRow.includes("number 1"));
  pty.type("\x1b");
  await pty.home();
  pty.type("/send-draft 99\r");
  await pty.see("/drafts shows them.");
  pty.type("/sessions\r");
  await pty.until("the page of sessions", () => pty.rows[0]?.startsWith("Sessions") === true);
});

test("/accounts and /status at home lead to their pages", async () => {
  await using pty = new Pty(small);
  await pty.signIn();
  pty.type("/accounts *a*\r");
  await pty.until("the page of accounts", () => pty.rows[0]?.startsWith("Accounts like *a*") === true);
  pty.type("\x1b");
  await pty.home();
  pty.type("/status\r");
  await pty.until("the page of the cluster", () => pty.rows[0] === "Cluster");
});

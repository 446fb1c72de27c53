/** What counts as read: what a person has had before their eyes. */
import { setDefaultTimeout, test } from "bun:test";
import { Pty } from "./pty.fixture.ts";

// Each starts a program and looks at several screens of it.
setDefaultTimeout(30_000);

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

/** Waiting for an answer that does not come: it can be left, and what is typed meanwhile goes nowhere it was not meant for. */
import { expect, setDefaultTimeout, test } from "bun:test";
import { Pty } from "./pty.fixture.ts";

// Each starts a program and looks at several screens of it.
setDefaultTimeout(30_000);

const replicaBack = { do: "find", replica: 2, afterMs: 2100, copies: 2 } as const;

/** Cuts the connection, which is said. */
async function lose(pty: Pty): Promise<void> {
  pty.happen({ do: "lose" });
  pty.happen({ do: "offline", reason: "no replica answers" });
  await pty.see("not connected");
}

const row = (pty: Pty, text: string): boolean => pty.rows.some((each) => each.startsWith(text));

test("the look-up of a name is left with Escape, and what was typed before it does not show itself as a name", async () => {
  await using pty = new Pty();
  await pty.prompt("User name:");
  await lose(pty);
  pty.type("bob\r");
  await pty.until("it waits", () => row(pty, "Looking for the account… (Escape leaves)"));
  pty.type("bob-password");
  await Bun.sleep(50);
  pty.type("\x1b");
  await pty.prompt("User name: bob");
  pty.happen(replicaBack);
  await pty.see("now on replica 2");
  await pty.prompt("User name: bob");
  expect(pty.raw).not.toContain("bob-password");
  pty.type("\r");
  await pty.prompt("Password:");
});

test("a password that is typed during the look-up of its name is taken as that", async () => {
  await using pty = new Pty();
  await pty.prompt("User name:");
  await lose(pty);
  pty.type("bob\r");
  await pty.until("it waits", () => row(pty, "Looking for the account…"));
  pty.type("bob-password\r");
  pty.happen(replicaBack);
  await pty.home();
  expect(pty.raw).not.toContain("bob-password");
});

test("who leaves a login is not logged in by it, and can log in under another name", async () => {
  await using pty = new Pty();
  await pty.prompt("User name:");
  pty.type("bob\r");
  await pty.prompt("Password:");
  await lose(pty);
  pty.type("bob-password\r");
  await pty.until("it waits", () => row(pty, "Signing in…"));
  pty.type("\x1b");
  await pty.see("Signing in cannot be called back");
  await pty.prompt("User name: bob");
  pty.happen(replicaBack);
  await pty.see("now on replica 2");
  pty.type("\x15mia\r");
  await pty.prompt("Password:");
  pty.type("mia-password\r");
  await pty.home("mia");
});

test("a name whose account is made when nobody waits for that any more is there afterwards", async () => {
  await using pty = new Pty();
  await pty.prompt("User name:");
  pty.type("zoe\r");
  await pty.prompt("New password:");
  await lose(pty);
  pty.type("zoe-password\rzoe-password\r");
  await pty.until("it waits", () => row(pty, "Creating the account…"));
  pty.type("\x1b");
  await pty.see("Creating the account cannot be called back");
  await pty.prompt("User name: zoe");
  pty.happen(replicaBack);
  await pty.see("now on replica 2");
  pty.type("\r");
  await pty.see("Welcome back, zoe!");
});

test("opening the inbox can be left: what is opened then is new in its conversations", async () => {
  await using pty = new Pty();
  await pty.signIn();
  await lose(pty);
  pty.type("i\r");
  await pty.until("it waits", () => row(pty, "Opening…"));
  // Letters that would be keys of home: the last one quits.
  pty.type("wq");
  await pty.see("nothing can be typed now: Escape leaves");
  pty.type("\x1b");
  await pty.see("Opening cannot be called back: it is done as soon as a replica answers.");
  await pty.until("home", () => row(pty, "Enter opens"));
  pty.happen(replicaBack);
  await pty.until("the inbox is empty", () => row(pty, "  i  Inbox  empty"));
  await pty.see("carol 1 new");
  await pty.home();
});

test("deleting can be left: that it is done is said when it is", async () => {
  await using pty = new Pty();
  await pty.talk();
  pty.type("one\r");
  await pty.see("one · on 3 disks");
  pty.type("\x1b[5~");
  await pty.see("Space marks");
  await lose(pty);
  pty.type("d");
  await pty.see("Delete 1 message?");
  pty.type("\x1b[B\r");
  await pty.until("it waits", () => row(pty, "Deleting…"));
  pty.type("\x1b");
  await pty.see("Deleting cannot be called back");
  pty.type("\x1b");
  await pty.prompt("bob → carol ›");
  pty.happen(replicaBack);
  await pty.see("1 message deleted.");
});

test("a logout can be left, and is done when a replica is there again", async () => {
  await using pty = new Pty();
  await pty.signIn();
  await lose(pty);
  pty.type("/logout\r");
  await pty.until("it waits", () => row(pty, "Logging out…"));
  pty.type("\x1b");
  await pty.see("Logging out cannot be called back");
  await pty.until("home", () => row(pty, "Enter opens"));
  pty.type("/to carol\r");
  await pty.prompt("bob → carol ›");
  pty.happen(replicaBack);
  await pty.see("Logged out.");
  await pty.prompt("User name:");
});

test("who comes to a terminal that logs out for want of keys cannot go on there while no replica answers", async () => {
  await using pty = new Pty({ environment: { CHAT_IDLE: "1" } });
  await pty.talk();
  pty.type("half a li");
  await pty.prompt("bob → carol › half a li");
  await lose(pty);
  await pty.until("it waits", () => row(pty, "Logging out…"));
  pty.type("somebody else\r");
  await pty.see("nothing can be typed now: Escape leaves");
  expect(pty.text).not.toContain("somebody else");
  pty.type("\x1b");
  expect(await pty.exited()).toBe(0);
});

test("a draft that turns out not to be savable is not lost with the wait that was left", async () => {
  await using pty = new Pty();
  await pty.signIn();
  await lose(pty);
  pty.type("dn");
  await pty.prompt("To (may stay empty):");
  pty.type("nobody\rlunch tomorrow?\r");
  await pty.until("it waits", () => row(pty, "Saving…"));
  pty.type("\x1b");
  await pty.see("Saving cannot be called back");
  pty.happen(replicaBack);
  await pty.see("Not saved: There is no account named nobody. lunch tomorrow?");
});

test("what is typed ahead for a conversation that does not open is no key of home", async () => {
  await using pty = new Pty();
  await pty.signIn();
  pty.type("wnobody\rquiet, please\r");
  await pty.see("There is no account named nobody");
  await pty.home();
  await Bun.sleep(50);
  expect(pty.process.exitCode).toBeNull();
  await pty.home();
});

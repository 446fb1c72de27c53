/** What is said to the user. */
import { expect, test } from "bun:test";
import {
  clockTime,
  copiesLine,
  duration,
  movedLine,
  nameComplaint,
  onDisks,
  passwordComplaint,
  refusedFate,
  sameName,
} from "./sentences.ts";
import { messageCount } from "./questions.ts";
import { asciiSymbols } from "./theme.ts";

test("the number of disks is said as it is, and a low one as degraded", () => {
  expect(onDisks(3, 3)).toEqual({ tone: "dim", text: "on 3 disks" });
  expect(onDisks(2, 3)).toEqual({ tone: "warning", text: "on 2 of 3 disks" });
  expect(onDisks(1, 3)).toEqual({ tone: "warning", text: "on 1 disk: degraded" });
  // A cluster of one is not degraded.
  expect(onDisks(1, 1)).toEqual({ tone: "dim", text: "on 1 disk" });
});

test("a replica that was added or removed is not called one that is back or away", () => {
  const view = { state: "connected", address: "h:1", replica: 2, primary: 2, view: "4.2", provisional: false } as const;
  const on = (copies: number) => ({ ...view, copies, afterMs: 0 });
  expect(copiesLine(on(3), on(4), 3, 4)?.text).toBe("a replica was added: messages are kept on 4 disks now");
  expect(copiesLine(on(4), on(3), 4, 3)).toEqual({
    tone: "info",
    text: "a replica was removed: messages are kept on 3 disks now",
  });
  expect(copiesLine(on(2), on(1), 2, 1)?.text).toBe("a replica was removed: messages are kept on 1 disk now");
  expect(copiesLine(on(3), on(2), 3, 3)?.text).toBe("a replica is away: messages are kept on 2 of 3 disks now");
  expect(copiesLine(on(2), on(1), 3, 3)?.text).toBe(
    "a replica is away: messages are kept on 1 disk only now: degraded",
  );
  // How many there were is not known after the first connection, when that was lost before it was told.
  expect(copiesLine(on(2), on(3), 0, 3)?.text).toBe("a replica is back: messages are kept on 3 disks now");
});

test("only a refusal is called a failure", () => {
  expect(refusedFate({ type: "refused", code: "no-such-user", message: "Nobody." }).text).toBe("failed: Nobody.");
  expect(refusedFate({ type: "refused", code: "unknown", message: "Forgotten." }).text).toBe(
    "outcome unknown: Forgotten.",
  );
});

test("a move to another replica says how long it took", () => {
  const now = {
    state: "reconnected",
    address: "h:1",
    replica: 2,
    primary: 2,
    view: "4.2",
    copies: 2,
    provisional: false,
  } as const;
  expect(movedLine(1, { ...now, afterMs: 143 }, asciiSymbols).text).toBe(
    "replica 1 lost - now on replica 2 after 143 ms",
  );
  expect(movedLine(2, { ...now, afterMs: 1520 }, asciiSymbols).text).toBe(
    "replica 2 lost - again on replica 2 after 1.5 s",
  );
});

test("times of another day carry the day", () => {
  const now = new Date(2025, 10, 20, 14, 2).getTime();
  expect(clockTime(now, now)).toBe("14:02");
  expect(clockTime(new Date(2025, 10, 19, 9, 5).getTime(), now)).toBe("19 Nov 09:05");
  expect(clockTime(new Date(2024, 0, 1, 0, 0).getTime(), now)).toBe("1 Jan 2024 00:00");
  expect(duration(150_000)).toBe("3 min");
});

test("names and passwords that cannot be are told so at once", () => {
  for (const good of ["alice", "Ålice", "bob_2", "a.b-c", "日本"]) expect(nameComplaint(good)).toBeNull();
  for (const bad of ["", "a b", "a/b", "a".repeat(33), "x\u202ey"]) expect(nameComplaint(bad)).not.toBeNull();
  expect(passwordComplaint("1234567")).not.toBeNull();
  expect(passwordComplaint("pässwör")).toBeNull();
  expect(passwordComplaint("x".repeat(257))).not.toBeNull();
  expect(sameName("Alice", "aLICE")).toBe(true);
});

test("numbers of messages stay within what can be asked for", () => {
  expect(messageCount("", 10)).toBe(10);
  expect(messageCount("999", 10)).toBe(200);
  for (const bad of ["0", "-1", "ten", "1e3"]) expect(messageCount(bad, 10)).toBeNull();
});

/** The judge is judged: a replica that lost, doubled, changed or invented a message does not pass. */
import { describe, expect, test } from "bun:test";
import type { JsonMessage } from "./json-client.ts";
import { Ledger, longestGapMs, type Asked, type Asking, type Expectations } from "./ledger.ts";

/** A client of a service that acknowledges everything and shows what it is told to; `inbox`: what each open finds there. */
function service(show: (stored: JsonMessage[]) => JsonMessage[], inbox: () => JsonMessage[] = () => []): Asked {
  const stored: JsonMessage[] = [];
  const answers: Record<string, (command: Record<string, unknown>) => object> = {
    send({ to, text }) {
      const index = stored.length + 1;
      const message = { id: `session/${index}`, index, from: "alice", to: String(to), text: String(text), at: index };
      stored.push({ ...message, read: false, inbox: false });
      return { ...message, copies: 3 };
    },
    open: () => ({ messages: inbox() }),
    messages({ before = Infinity }) {
      const older = show(stored.toReversed()).filter((message) => message.index < Number(before));
      return { messages: older.slice(0, 2), more: older.length > 2 };
    },
  };
  return { must: (command) => Promise.resolve({ ok: true, ...answers[command.do]?.(command) } as never) };
}

async function faults(
  show: (stored: JsonMessage[]) => JsonMessage[],
  meanwhile: (ledger: Ledger) => unknown = () => {},
  expectations: Expectations = {},
): Promise<string[]> {
  const ledger = new Ledger();
  const client = service(show);
  await ledger.sendMany(client, "alice", "bob", "text", 5);
  expect(ledger.size).toBe(5);
  await meanwhile(ledger);
  return ledger.faultsOf(client, "bob", expectations);
}

const without3 = (stored: JsonMessage[]) => stored.filter((message) => message.index !== 3);
const refusing: Asking = {
  do: () => Promise.resolve({ ok: false, error: "unavailable", message: "No majority." } as never),
};
const isRefused = (text: string) => (ledger: Ledger) => ledger.attempt(refusing, "alice", "bob", text);

const changed = (change: (message: JsonMessage) => JsonMessage[]) => (stored: JsonMessage[]) =>
  stored.flatMap((message) => (message.index === 3 ? change(message) : [message]));

describe("the ledger", () => {
  test("finds nothing wrong where nothing is", async () => {
    expect(await faults((stored) => stored)).toEqual([]);
  });

  test("looks again when something went back into the inbox while it was looking", async () => {
    const ledger = new Ledger();
    let returned = false;
    let opened: JsonMessage[] = [];
    const client = service(
      (stored) => {
        if (!returned) opened = stored.slice(1, 3);
        returned = true;
        return opened.length === 0 ? stored : stored.filter((message) => !opened.includes(message));
      },
      () => opened.splice(0),
    );
    await ledger.sendMany(client, "alice", "bob", "text", 5);
    expect(await ledger.faultsOf(client, "bob")).toEqual([]);
    expect(returned).toBe(true);
  });

  const wrongs: [what: string, show: (stored: JsonMessage[]) => JsonMessage[], says: RegExp][] = [
    ["lost", changed(() => []), /lacks session\/3/],
    ["doubled under its id", changed((message) => [message, message]), /session\/3 twice/],
    ["doubled under another id", changed((message) => [message, { ...message, id: "other/9" }]), /as .* and as/],
    ["changed", changed((message) => [{ ...message, text: "another" }]), /which nobody sent/],
    ["shown as somebody else's", changed((message) => [{ ...message, from: "carol" }]), /sent was/],
  ];
  test.each(wrongs)("finds a message %s", async (_what, show, says) => {
    expect((await faults(show)).join("\n")).toMatch(says);
  });

  test("does not miss what was deleted, or may have been", async () => {
    for (const outcome of ["done", "unknown"] as const) {
      const deletes = (ledger: Ledger): void => ledger.deleted("bob", ["session/3"], outcome);
      expect(await faults(without3, deletes)).toEqual([]);
      expect(await faults((stored) => stored, deletes)).toHaveLength(outcome === "done" ? 1 : 0);
    }
    expect(await faults(without3, (ledger) => ledger.deleted("alice", ["session/3"], "done"))).toHaveLength(1);
  });

  test("finds a message that was refused, that is unread again, that stands before an earlier one", async () => {
    const refused = changed((message) => [message, { ...message, id: "session/99", text: "late #6 from alice" }]);
    expect((await faults(refused, isRefused("late"))).join()).toMatch(/which was refused/);
    expect(
      (
        await faults(
          (stored) => stored,
          (ledger) => ledger.marked("bob", ["session/2"]),
        )
      ).join(),
    ).toMatch(/unread/);
    const swapped = changed((message) => [{ ...message, id: "session/9" }]);
    expect((await faults(swapped, () => {}, { ordered: true })).join()).toMatch(/session\/4 behind session\/9/);
  });

  test("looks only at what came since everything was found, unless told otherwise", async () => {
    const settles = (ledger: Ledger): void => ledger.settle(5);
    expect(await faults(without3, settles, { everything: false })).toEqual([]);
    expect(await faults(without3, settles)).toHaveLength(1);
  });

  test("measures the longest pause", () => {
    const times = [0, 500, 510, 540, 545];
    expect(longestGapMs(times, 500)).toBe(30);
    expect(longestGapMs(times, 0)).toBe(500);
  });
});

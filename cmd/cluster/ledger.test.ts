/** The judge is judged: a replica that lost, doubled, changed or invented a message does not pass. */
import { describe, expect, test } from "bun:test";
import type { JsonMessage } from "./json-client.ts";
import { Ledger, type Asked } from "./ledger.ts";

/** A client of a service that acknowledges everything and shows what it is told to. */
function service(show: (stored: JsonMessage[]) => JsonMessage[]): Asked {
  const stored: JsonMessage[] = [];
  const answers: Record<string, (command: Record<string, unknown>) => object> = {
    send({ to, text }) {
      const index = stored.length + 1;
      const message = { id: `session/${index}`, index, from: "alice", to: String(to), text: String(text), at: index };
      stored.push({ ...message, read: false, inbox: false });
      return { ...message, copies: 3 };
    },
    open: () => ({ messages: [] }),
    messages({ before = Infinity }) {
      const older = show(stored.toReversed()).filter((message) => message.index < Number(before));
      return { messages: older.slice(0, 2), more: older.length > 2 };
    },
  };
  return { must: (command) => Promise.resolve({ ok: true, ...answers[command.do]?.(command) } as never) };
}

async function faults(show: (stored: JsonMessage[]) => JsonMessage[]): Promise<string[]> {
  const ledger = new Ledger();
  const client = service(show);
  await ledger.sendMany(client, "alice", "bob", "text", 5);
  expect(ledger.size).toBe(5);
  return ledger.faultsOf(client, "bob");
}

const changed = (change: (message: JsonMessage) => JsonMessage[]) => (stored: JsonMessage[]) =>
  stored.flatMap((message) => (message.index === 3 ? change(message) : [message]));

describe("the ledger", () => {
  test("finds nothing wrong where nothing is", async () => {
    expect(await faults((stored) => stored)).toEqual([]);
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

  test("measures the longest pause", () => {
    const ledger = new Ledger();
    ledger.acknowledgedAtMs.push(0, 500, 510, 540, 545);
    expect(ledger.longestGapMs(500)).toBe(30);
    expect(ledger.longestGapMs(0)).toBe(500);
  });
});

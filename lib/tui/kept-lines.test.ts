/** Lines that were begun and are kept on this machine: which runs may take them away, and when. */
import { expect, test } from "bun:test";
import { PassThrough, Writable } from "node:stream";
import type { Outbox } from "../client/outbox.ts";
import { draftOf } from "./editor.ts";
import { FakeClient } from "./fake-client.fixture.ts";
import { runInteractive } from "./interactive.ts";
import type { AccountStorage } from "./outlet.ts";
import { UnfinishedInMemory } from "./unfinished-lines.ts";

/** A machine that keeps lines from run to run, and sends straight through the client. */
class Machine extends UnfinishedInMemory {
  /** What is sent is kept, and never asked for. */
  isStuck = false;
  /** Asks for what is kept, as when all that an earlier run left has been sent; not while nobody is signed in. */
  goOn: () => void = () => {};
  #isResting = false;
  /** What was on its way to the disk each time it was to be there at once. */
  readonly flushed: (string | undefined)[] = [];
  readonly open = (client: FakeClient): AccountStorage => {
    const outbox = {
      on: () => () => {},
      signedIn: () => void (this.#isResting = false),
      signedOut: () => void (this.#isResting = true),
      send: (to: string, text: string) => {
        const asked = Promise.withResolvers();
        const ask = (): void => asked.resolve(client.request({ type: "send", to, text }));
        if (!this.isStuck) ask();
        this.goOn = () => {
          if (!this.#isResting) ask();
        };
        return { to, text, at: 0, isEarlier: false, kept: Promise.resolve(), answer: asked.promise };
      },
    } as unknown as Outbox;
    const flush = async () => void this.flushed.push(this.get("carol")?.text);
    const lines = Object.assign(this, { clear: () => {}, flush, close: async () => {} });
    return { outbox, lines, close: async () => {} };
  };
}

class Screen extends Writable {
  readonly isTTY = true;
  text = "";
  override _write(chunk: Uint8Array | string, _encoding: string, done: () => void): void {
    this.text += String(chunk);
    done();
  }
}

function start(machine: Machine, plain: boolean) {
  const client = new FakeClient({ bob: "bob-password", carol: "carol-password" });
  const input = Object.assign(new PassThrough(), { isTTY: !plain });
  const output = new Screen();
  const code = runInteractive(client, {
    ...{ input, output, plain, colour: false, unicode: true, columns: () => 80, rows: () => 24 },
    ...{ idleLogoutSeconds: 0, giveUpMs: 30_000, complain: () => {} },
    openStorage: () => machine.open(client),
  });
  const see = async (text: string): Promise<void> => {
    while (!output.text.includes(text)) await new Promise((resolve) => setImmediate(resolve));
  };
  const signIn = async (): Promise<void> => {
    input.write("bob\r");
    await see("Password");
    input.write("bob-password\r");
    await see("Enter opens");
  };
  return { client, input, output, code, see, signIn };
}

test("a run of lines leaves what was begun on a screen as it is", async () => {
  const machine = new Machine();
  machine.set("carol", draftOf("half a thought"));
  const { client, input, code } = start(machine, true);
  input.end("bob\nbob-password\n/to carol\nby a script\n");
  expect(await code).toBe(0);
  expect(client.asked).toContainEqual({ type: "send", to: "carol", text: "by a script" });
  expect(machine.get("carol")?.text).toBe("half a thought");
});

test("a text that is asked about, as it is too long for one message, is kept until that is answered", async () => {
  const machine = new Machine();
  const { input, code, see, signIn } = start(machine, false);
  await signIn();
  input.write("/to carol\r");
  await see("carol ›");
  const text = Array.from({ length: 3 }, (_, at) => `${at}`.repeat(2000)).join("\n");
  input.write(`\x1b[200~${text}\x1b[201~\r`);
  await see("Send it line by line?");
  input.write("\x03\x03");
  expect(await code).toBe(0);
  expect(machine.get("carol")?.text).toBe(text);
});

test("a line that was sent is taken off the disk when its message is on it", async () => {
  const machine = new Machine();
  machine.set("carol", draftOf("nearly done"));
  const { client, input, code, see, signIn } = start(machine, false);
  await signIn();
  input.write("/to carol\r");
  await see("nearly done");
  expect(machine.flushed).toEqual([]);
  input.write("\r");
  do await new Promise((resolve) => setImmediate(resolve));
  while (machine.flushed.length === 0 || client.outstanding > 0);
  expect(machine.flushed).toEqual([undefined]);
  input.write("\x03\x03");
  expect(await code).toBe(0);
});

test("who is logged out leaves no message on the screen that would be on its way for ever", async () => {
  const machine = new Machine();
  machine.isStuck = true;
  const { client, input, output, code, see, signIn } = start(machine, false);
  await signIn();
  input.write("/msg carol psst\r");
  await see("1 message sending…");
  client.happen({ do: "log-out", reason: "the password was changed" });
  await see("bob → carol: psst · not acknowledged yet: it is kept");
  output.text = "";
  input.write("\x03\x03");
  expect(await code).toBe(0);
  expect(output.text).not.toContain("Waiting for");
});

test("a run that is left in order leaves no session behind, unless something is on its way in it", async () => {
  for (const isStuck of [false, true]) {
    const machine = new Machine();
    machine.isStuck = isStuck;
    const { client, input, code, see, signIn } = start(machine, false);
    await signIn();
    input.write("/msg carol psst\r");
    await see(isStuck ? "1 message sending…" : "psst · on 3 disks");
    input.write("\x03\x03");
    if (isStuck) {
      await see("Waiting for");
      input.write("\x03");
    }
    await code;
    expect(client.asked.filter(({ type }) => type === "logout")).toHaveLength(isStuck ? 0 : 1);
  }
});

test("what is kept does not follow a logout, where it would be refused; it goes out when that is refused", async () => {
  for (const isRefused of [false, true]) {
    const machine = new Machine();
    machine.isStuck = true;
    const { client, input, code, see, signIn } = start(machine, false);
    const request = client.request.bind(client);
    client.request = (asked) =>
      asked.type === "logout" && isRefused
        ? Promise.resolve({ type: "refused", code: "unavailable", message: "No majority." })
        : request(asked);
    await signIn();
    input.write("/msg carol psst\r");
    await see("1 message sending…");
    client.happen({ do: "lose" });
    input.write("/logout\r");
    if (isRefused) await see("Not logged out: No majority.");
    else await see("Logging out…");
    machine.goOn();
    client.happen({ do: "find", replica: 2, afterMs: 10, copies: 3 });
    await see(isRefused ? "psst · on 3 disks" : "psst · not acknowledged yet");
    input.write("\x03\x03");
    await code;
  }
});

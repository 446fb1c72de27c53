/** The built client, killed again and again while it sends, over real replicas: every message arrives once, in order. */
import { expect, setDefaultTimeout, test } from "bun:test";
import { readdirSync, statSync } from "node:fs";
import { join } from "node:path";
import { Random } from "../../lib/base/random.ts";
import { ChatCommand, type ChatCommandOptions } from "./chat-command.fixture.ts";
import { withScene, type Scene } from "./end-to-end.fixture.ts";
import { passwordOf } from "./inquiry.ts";
import { freePorts } from "./ports.ts";

// Dozens of real processes that sign in: the 5 s that Bun gives a test are for less.
setDefaultTimeout(600_000);

const seed = Number(process.env["OUTBOX_SEED"] ?? Math.floor(Math.random() * 2 ** 31));

function optionsIn({ cluster, directory }: Scene): ChatCommandOptions {
  const stateHome = join(directory, "state");
  return { servers: cluster.addresses(), stateHome, password: passwordOf("alice"), keeper: cluster.keeper };
}

/** Every file and directory that the client made there, with its mode. */
function filesIn(stateHome: string): [path: string, mode: string][] {
  const paths = readdirSync(stateHome, { recursive: true }).map(String).sort();
  return paths.map((path) => [path, (statSync(join(stateHome, path)).mode & 0o777).toString(8)]);
}

const numberOf = (text: string): number => Number(/text (\d+)$/.exec(text)?.[1] ?? 0);
const texts = (count: number): string[] => Array.from({ length: count }, (_, at) => `text ${at + 1}`);

test("the plain client, killed at twenty random moments while it sends 200 messages", async () => {
  const count = 200;
  const random = new Random(seed);
  await withScene(async (scene) => {
    const { cluster } = scene;
    await cluster.start();
    const alice = await scene.signedIn(1, "alice");
    await alice.end();
    const bob = await scene.signedIn(3, "bob");
    const options = optionsIn(scene);
    /** What the client has said to be on its way: on disk at least. */
    let accepted = 0;
    let kills = 0;
    let killsWithOpen = 0;
    for (let isLast = false; !isLast;) {
      isLast = kills === 20;
      const run = new ChatCommand(["--plain"], options);
      const isEarly = !isLast && random.below(5) === 0;
      run.type(`alice\n${passwordOf("alice")}\n`);
      if (isEarly) setTimeout(() => run.signal("SIGKILL"), random.below(600));
      // What earlier runs left is announced before anything else is done; the history is read from the log.
      run.type("/history bob 1\n/to bob\n");
      if ((await run.see(/^\d+ messages? with bob/)) === null) {
        expect(isEarly).toBeTrue();
        kills++;
        continue;
      }
      const known = run.lines.filter((line) => / to bob: text \d+$/.test(line)).map(numberOf);
      const next = Math.max(0, ...known) + 1;
      // Whatever it had said to be on its way is there, in a file or in the log.
      expect(next).toBeGreaterThan(accepted);
      if (run.lines.some((line) => line.startsWith("sending"))) killsWithOpen++;
      // A share of what is left: however quick the machine, each of the kills falls into the sending.
      const share = isLast ? count : Math.floor((count - next + 1) / (21 - kills));
      run.type(
        texts(count)
          .slice(next - 1, next - 1 + share)
          .map((text) => `${text}\n`)
          .join(""),
      );
      if (isLast) {
        expect(await run.end()).toBe(0);
      } else {
        if (!isEarly) {
          await run.see(new RegExp(`^sending \\d+ to bob: text ${next + random.below(share)}$`));
          await Bun.sleep(random.below(4));
          run.signal("SIGKILL");
        }
        await run.ended();
        kills++;
      }
      const said = run.lines.filter((line) => line.startsWith("sending")).map(numberOf);
      accepted = Math.max(accepted, ...said);
    }
    await bob.until("all have arrived", () => bob.received.length >= count);
    expect(bob.received.map(({ text }) => text)).toEqual(texts(count));
    // Otherwise nothing of this was shown.
    expect(killsWithOpen).toBeGreaterThan(3);
    const left = filesIn(options.stateHome).filter(([path]) => path.endsWith(".outbox"));
    expect(left).toEqual([]);
  }).catch((error: unknown) => {
    console.error(`again with OUTBOX_SEED=${seed}`);
    throw error;
  });
});

test("one command a message, each killed at a random moment: what it had kept goes out with the next", async () => {
  const random = new Random(seed);
  await withScene(async (scene) => {
    const { cluster } = scene;
    await cluster.start();
    await (await scene.signedIn(1, "alice")).end();
    const bob = await scene.signedIn(3, "bob");
    const options = optionsIn(scene);
    const send = (number: number): ChatCommand =>
      new ChatCommand(["--user", "alice", "--send", "bob", `text ${number}`], options);
    const beganMs = performance.now();
    expect(await send(1).ended()).toBe(0);
    const usualMs = performance.now() - beganMs;
    let killed = 0;
    for (let last = 1; last < 8;) {
      const run = send(last + 1);
      const timer = setTimeout(() => run.signal("SIGKILL"), random.below(Math.ceil(1.2 * usualMs)));
      const code = await run.ended();
      clearTimeout(timer);
      if (code === 0) {
        last++;
        continue;
      }
      killed++;
      // What was kept goes out with the next run, whatever that is; the history is read from the log.
      const next = new ChatCommand([], options);
      next.type(`alice\n${passwordOf("alice")}\n/history bob 1\n`);
      expect([await next.end(), next.stderr]).toEqual([0, ""]);
      const now = Math.max(0, ...next.lines.filter((line) => / to bob: text \d+$/.test(line)).map(numberOf));
      expect([last, last + 1]).toContain(now);
      last = now;
    }
    await bob.until("all have arrived", () => bob.received.length >= 8);
    expect(bob.received.map(({ text }) => text)).toEqual(texts(8));
    expect(killed).toBeGreaterThan(0);
  }).catch((error: unknown) => {
    console.error(`again with OUTBOX_SEED=${seed}`);
    throw error;
  });
});

test("without a server a message is kept, for this user alone, and goes out once with the next run", async () => {
  await withScene(async (scene) => {
    const { cluster } = scene;
    const options = optionsIn(scene);
    const none = { ...options, servers: [...options.servers, `127.0.0.1:${freePorts(1)[0]}`] };
    for (const text of ["text 1", "text 2"]) {
      const run = new ChatCommand(["--user", "alice", "--send", "bob", text, "--give-up-ms", "300"], none);
      expect(await run.end()).toBe(69);
      expect(run.stderr).toMatch(
        /^chatd: no server could be reached for 300 ms: .*; the message to bob is kept, and goes out, once, with the next run\n$/,
      );
    }
    const files = filesIn(options.stateHome);
    expect(files.filter(([path]) => path.endsWith(".outbox"))).toHaveLength(2);
    for (const [path, mode] of files) expect([path, mode]).toEqual([path, /alice\/./.test(path) ? "600" : "700"]);
    await cluster.start();
    await (await scene.signedIn(1, "alice")).end();
    const bob = await scene.signedIn(2, "bob");
    const wrong = new ChatCommand(["--user", "alice", "--send", "bob", "never"], {
      ...options,
      password: "not the one",
    });
    expect([await wrong.end(), wrong.stderr]).toEqual([
      77,
      "chatd: alice cannot sign in: This is not the password of alice. The message is not sent.\n",
    ]);
    const third = new ChatCommand(["--user", "Alice", "--send", "bob", "-", "--json"], options);
    third.type("text 3\n");
    expect([await third.end(), third.stderr]).toEqual([0, ""]);
    expect(JSON.parse(third.lines.join())).toMatchObject({ event: "reply", ok: true, copies: 3 });
    const nobody = new ChatCommand(["--user", "alice", "--send", "nobody", "x"], options);
    expect([await nobody.end(), nobody.stderr]).toEqual([
      1,
      "chatd: not sent to nobody: There is no account named nobody.\n",
    ]);
    await bob.until("all have arrived", () => bob.received.length >= 3);
    expect(bob.received.map(({ text }) => text)).toEqual(texts(3));
    expect(filesIn(options.stateHome).filter(([path]) => /alice\/./.test(path))).toEqual([]);
  });
});

test("what is new is shown once, what arrives while it follows at once; signals and readers that leave end it", async () => {
  await withScene(async (scene) => {
    const { cluster } = scene;
    await cluster.start();
    await (await scene.signedIn(1, "alice")).end();
    const bob = await scene.signedIn(2, "bob");
    const options = optionsIn(scene);
    for (const text of ["text 1", "text 2\nof two lines"]) await bob.must({ do: "send", to: "alice", text });
    const read = new ChatCommand(["--user", "alice", "--read"], options);
    expect([await read.end(), read.stderr]).toEqual([0, ""]);
    expect(read.lines.map((line) => line.replace(/^\d\d:\d\d /, ""))).toEqual([
      "bob: text 1",
      "bob: text 2",
      "  of two lines",
    ]);
    const again = new ChatCommand(["--user", "alice", "--read"], options);
    expect([await again.end(), again.lines]).toEqual([0, []]);
    await bob.must({ do: "send", to: "alice", text: "text 3" });
    const follow = new ChatCommand(["--user", "alice", "--read", "--follow", "--json"], options);
    await follow.see(/"text":"text 3"/);
    await bob.must({ do: "send", to: "alice", text: "text 4" });
    await follow.see(/"text":"text 4"/);
    // Its replica dies; what comes while it looks for another one is shown as well.
    const on = Number(/"connected","replica":(\d)/.exec(follow.lines.join("\n"))?.[1]);
    await cluster.kill(on);
    await bob.must({ do: "send", to: "alice", text: "text 5" });
    await follow.see(/"text":"text 5"/);
    follow.signal("SIGINT");
    expect([await follow.ended(), follow.stderr]).toEqual([130, ""]);
    const events = follow.lines.map((line): { event: string; text?: string } => JSON.parse(line));
    expect(events.flatMap(({ text }) => text ?? [])).toEqual(["text 3", "text 4", "text 5"]);
    expect(events[0]?.event).toBe("connection");
    const last = new ChatCommand(["--user", "alice", "--read"], options);
    expect([await last.end(), last.lines]).toEqual([0, []]);
  });
});

test("a session that was logged out meanwhile is logged in again for what it had kept", async () => {
  await withScene(async (scene) => {
    const { cluster } = scene;
    await cluster.start();
    const alice = await scene.signedIn(1, "alice");
    const options = optionsIn(scene);
    const run = new ChatCommand(["--plain"], options);
    run.type(`alice\n${passwordOf("alice")}\n/to bob\n/inbox\n`);
    await run.see(/^Your inbox is empty/);
    await cluster.losePower();
    // An op is made of it, which no replica sees.
    run.type("text 1\n");
    await run.see(/^sending 1 to bob/);
    run.signal("SIGKILL");
    await run.ended();
    await cluster.start();
    // Its account goes, and with it every login.
    await alice.must({ do: "delete-account", password: passwordOf("alice") });
    await alice.must({ do: "create", user: "alice", password: passwordOf("alice") });
    const bob = await scene.signedIn(3, "bob");
    const next = new ChatCommand(["--user", "alice", "--send", "bob", "text 2"], options);
    expect([await next.end(), next.stderr]).toEqual([0, ""]);
    await bob.until("both have arrived", () => bob.received.length >= 2);
    expect(bob.received.map(({ text }) => text)).toEqual(texts(2));
    const [session] = (bob.received[0]?.id ?? "").split("/");
    expect(bob.received[1]?.id).not.toStartWith(session ?? "");
  });
});

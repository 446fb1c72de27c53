/** The example bots, as the documents show them, against real replicas: one by the library, one by a pipe. */
import { expect, setDefaultTimeout, test } from "bun:test";
import { join } from "node:path";
import { executable } from "../tasks/build.ts";
import { root } from "../tasks/run.ts";
import { withScene } from "./end-to-end.fixture.ts";
import { passwordOf } from "./inquiry.ts";

// Real processes: the 5 s that Bun gives a test are for less.
setDefaultTimeout(240_000);

const bots = join(root, "fixtures/bots");

test("an echo by the library answers, also after its replica has died", async () => {
  await withScene(async (scene) => {
    const { cluster } = scene;
    await cluster.start();
    const alice = await scene.signedIn(3, "alice");
    const bot = Bun.spawn([process.execPath, join(bots, "echo.ts"), cluster.addresses().join(","), "echo"], {
      env: { ...process.env, CHATD_PASSWORD: passwordOf("echo") },
      stdio: ["ignore", "inherit", "inherit"],
      detached: true,
    });
    cluster.keeper.adopt(bot);
    // In the inbox or live, it is there: but this bot answers only what arrives while it is logged in.
    await expectOnline(() => alice.must({ do: "accounts", pattern: "echo" }));
    await alice.must({ do: "send", to: "echo", text: "hello" });
    await alice.until("the first answer", () => alice.received.length === 1);
    await cluster.kill(1);
    await alice.must({ do: "send", to: "echo", text: "still there?" });
    await alice.until("the second answer", () => alice.received.length === 2);
    expect(alice.received.map(({ from, text }) => [from, text])).toEqual([
      ["echo", "hello"],
      ["echo", "still there?"],
    ]);
    bot.kill();
  });
});

test("a pipe of --follow and --send answers, also what came while it was not there", async () => {
  await withScene(async (scene) => {
    const { cluster, directory } = scene;
    await cluster.start();
    const alice = await scene.signedIn(2, "alice");
    await (await scene.signedIn(1, "bot")).end();
    await alice.must({ do: "send", to: "bot", text: "anybody?" });
    const chat = `"$0" chat --server "$1" --user bot`;
    const pipe = `${chat} --read --follow --json | "$2" "$3" ${chat}`;
    const words = [executable, cluster.addresses().join(","), process.execPath, join(bots, "answer.ts")];
    const bot = Bun.spawn(["sh", "-c", pipe, ...words], {
      env: { ...process.env, CHATD_PASSWORD: passwordOf("bot"), XDG_STATE_HOME: join(directory, "state") },
      stdio: ["ignore", "inherit", "inherit"],
      detached: true,
    });
    cluster.keeper.adopt(bot);
    await alice.until("the first answer", () => alice.received.length === 1, 60_000);
    await alice.must({ do: "send", to: "bot", text: "two\nlines" });
    await alice.until("the second answer", () => alice.received.length === 2, 60_000);
    expect(alice.received.map(({ text }) => text)).toEqual(["You wrote: anybody?", "You wrote: two\nlines"]);
  });
});

type Accounts = { readonly accounts: readonly { readonly user: string; readonly online: boolean }[] };

/** Asks until the account is there: nobody is told of somebody else's login. */
async function expectOnline(ask: () => Promise<Accounts>): Promise<void> {
  for (;;) {
    const { accounts } = await ask();
    if (accounts.some(({ online }) => online)) return;
    await Bun.sleep(50);
  }
}

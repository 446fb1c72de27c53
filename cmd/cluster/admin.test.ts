/** Passwords that are changed and reset, and sessions that are seen and ended, on real replicas. */
import { expect, setDefaultTimeout, test } from "bun:test";
import { chmod, writeFile } from "node:fs/promises";
import { networkInterfaces } from "node:os";
import { join } from "node:path";
import { Pty } from "../../lib/tui/pty.fixture.ts";
import { executable } from "../tasks/build.ts";
import { Cluster } from "./cluster.ts";
import { withScene } from "./end-to-end.fixture.ts";
import { passwordOf } from "./inquiry.ts";
import { freePorts } from "./ports.ts";

// Real processes: the 5 s that Bun gives a test are for less.
setDefaultTimeout(120_000);

interface Run {
  readonly environment?: Readonly<Record<string, string>>;
  readonly stdin?: Uint8Array;
}

async function admin(words: readonly string[], { environment = {}, stdin }: Run = {}) {
  const child = Bun.spawn([executable, "admin", "reset-password", ...words], {
    stdio: [stdin ?? "ignore", "pipe", "pipe"],
    env: { ...process.env, ...environment },
  });
  const [stdout, stderr] = await Promise.all([new Response(child.stdout).text(), new Response(child.stderr).text()]);
  return { exitCode: await child.exited, stdout, stderr };
}

test("reset from the replica's machine, also right after a failover: the old password is of no use, the sessions end", async () => {
  await withScene(async (scene) => {
    const { cluster, directory } = scene;
    await cluster.start();
    const laptop = await scene.signedIn(1, "alice");
    const phone = await scene.signedIn(2, "alice");
    const file = join(directory, "new-password");
    await writeFile(file, "a new password\nand what is not of it\n");
    await chmod(file, 0o600);
    const servers = ["--server", cluster.addresses([2, 3]).join()];
    expect(await admin(["alice", ...servers, "--password-file", file, "--json"])).toMatchObject({ exitCode: 0 });
    for (const device of [laptop, phone]) {
      await device.until("it is logged out", () => device.events.some(({ event }) => event === "logged-out"));
      expect(await device.do({ do: "inbox" })).toMatchObject({ error: "not-logged-in" });
    }
    const login = { do: "login", user: "alice" } as const;
    expect(await phone.do({ ...login, password: passwordOf("alice") })).toMatchObject({ error: "wrong-password" });
    await phone.must({ ...login, password: "a new password" });
    await phone.until("it is told", () => phone.notices.some((notice) => notice.includes("reset by an operator")));

    await cluster.kill(1);
    const environment = { CHATD_PASSWORD: "the password after that" };
    const { exitCode, stdout } = await admin(["ALICE", ...servers], { environment });
    expect([exitCode, stdout]).toEqual([0, "the password of ALICE has been reset on 2 disks; 1 session was ended\n"]);
    await scene.client(3).must({ ...login, password: "the password after that" });
    const stdin = Buffer.from("short\r\n");
    const refused = await admin(["alice", ...servers, "--password-fd", "0", "--json"], { stdin });
    expect(JSON.parse(refused.stdout)).toMatchObject({ ok: false, user: "alice", error: "bad-password" });
    expect(await admin(["carol", ...servers], { environment })).toMatchObject({ exitCode: 1, stdout: "" });
  });
});

test("at a terminal the new password is asked for twice, and never shown; Ctrl-C changes nothing", async () => {
  const makeCluster = (directory: string) => Cluster.inDirectory(directory, { count: 1 });
  await withScene(async (scene) => {
    await scene.cluster.start();
    const alice = await scene.signedIn(1, "alice");
    const [server = ""] = scene.cluster.addresses();
    const play = async (...keys: string[]) => {
      await using pty = new Pty({ command: [executable, "admin", "reset-password", "alice", "--server", server] });
      for (const [at, typed] of keys.entries()) {
        await pty.see(at === 0 ? "New password of alice" : "The same again");
        pty.type(typed);
      }
      const code = await pty.exited();
      for (const secret of ["the new one", "another one"]) expect(pty.raw).not.toContain(secret);
      return { code, text: pty.text };
    };
    expect(await play("the new one\r", "another one\r")).toMatchObject({
      code: 1,
      text: expect.stringContaining("the two passwords differ: nothing was changed"),
    });
    expect(await play("the new one\r", "\x03")).toMatchObject({
      code: 1,
      text: expect.stringContaining("given up: nothing was changed"),
    });
    expect(await alice.must({ do: "inbox" })).toMatchObject({ count: 0 });
    expect(await play("the new one\r", "the new one\r")).toMatchObject({
      code: 0,
      text: expect.stringContaining("the password of alice has been reset on 1 disk; 1 session was ended"),
    });
    await alice.must({ do: "login", user: "alice", password: "the new one" });
  }, makeCluster);
});

test("no password, no server, no such account: nothing is changed, and each has its exit status", async () => {
  const environment = { CHATD_PASSWORD: "a new password" };
  const elsewhere = Object.values(networkInterfaces())
    .flatMap((addresses) => addresses ?? [])
    .find(({ family, internal }) => family === "IPv4" && !internal);
  const makeCluster = (directory: string) =>
    Cluster.inDirectory(directory, { count: 1, flags: ["--listen", `0.0.0.0:${freePorts(1)[0]}`] });
  await withScene(async ({ cluster }) => {
    const [server = ""] = cluster.addresses();
    expect(await admin(["alice", "--server", server])).toMatchObject({ exitCode: 64 });
    const both = await admin(["alice", "--password-fd", "0", "--password-file", "x"]);
    expect([both.exitCode, both.stderr]).toEqual([64, expect.stringContaining("cannot be used with")]);
    expect(await admin(["alice", "--password", "secret"], { environment })).toMatchObject({ exitCode: 64 });
    expect(await admin(["alice", "--password-file", "/nowhere/at/all"])).toMatchObject({ exitCode: 1 });
    const unreachable = await admin(["alice", "--server", server], { environment });
    expect([unreachable.exitCode, unreachable.stderr]).toEqual([
      69,
      expect.stringContaining("no server could be reached"),
    ]);
    if (elsewhere === undefined) return;
    const [ready] = await cluster.start();
    // Its own machine it is by any of its addresses, not only by the one in --peers.
    const outside = (ready?.listen ?? "").replace("0.0.0.0", elsewhere.address);
    const refused = await admin(["alice", "--server", outside, "--json"], { environment });
    expect([refused.exitCode, JSON.parse(refused.stdout)]).toEqual([
      1,
      expect.objectContaining({ ok: false, error: "no-such-user" }),
    ]);
  }, makeCluster);
});

test("one's own sessions and password, over three replicas", async () => {
  await withScene(async (scene) => {
    const { cluster } = scene;
    await cluster.start();
    const laptop = await scene.signedIn(1, "alice");
    const phone = await scene.signedIn(2, "alice");
    const tablet = await scene.signedIn(3, "alice");
    const { sessions } = await laptop.must({ do: "sessions" });
    expect(sessions.map(({ replica, attached }) => `${replica} ${attached}`).toSorted()).toEqual([
      "1 true",
      "2 true",
      "3 true",
    ]);
    expect(sessions.filter(({ current }) => current).map(({ replica }) => replica)).toEqual([1]);
    expect(sessions.every(({ software, since, lastUsed }) => software.startsWith("chatd ") && since <= lastUsed)).toBe(
      true,
    );
    const [gone] = sessions.filter(({ replica }) => replica === 3);
    expect(await laptop.must({ do: "end-sessions", sessions: [gone?.session] })).toMatchObject({ count: 1 });
    await tablet.until("it is logged out", () => tablet.events.some(({ event }) => event === "logged-out"));
    expect(await laptop.do({ do: "end-sessions", sessions: [gone?.session] })).toMatchObject({
      error: "no-such-session",
    });

    await cluster.kill(2);
    const change = { do: "change-password", password: passwordOf("alice"), new: "a better password" } as const;
    expect(await laptop.must(change)).toMatchObject({ count: 1 });
    // It moved, or was moving, when its login ended: it learns of it either way.
    await phone.until("it is logged out", () => phone.events.some(({ event }) => event === "logged-out"));
    expect(await laptop.do(change)).toMatchObject({ error: "wrong-password" });
    expect(await phone.do({ do: "login", user: "alice", password: passwordOf("alice") })).toMatchObject({
      error: "wrong-password",
    });
    await phone.must({ do: "login", user: "alice", password: "a better password" });
    expect((await laptop.must({ do: "sessions" })).sessions).toHaveLength(2);
  });
});

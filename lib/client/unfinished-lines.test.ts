/** Unfinished lines: what is left of them after a crash at any write, two processes at once, a disk that fails. */
import { beforeEach, expect, test } from "bun:test";
import { ByteNetwork } from "../sim/byte-network.ts";
import { Life, MemoryDisk, type Remains } from "./private-files.fixture.ts";
import { openUnfinishedLines, type UnfinishedLines } from "./unfinished-lines.ts";

const cluster = new Uint8Array(16).fill(7);
let network: ByteNetwork;
let disk: MemoryDisk;
let troubles: string[];
beforeEach(() => {
  network = new ByteNetwork();
  disk = new MemoryDisk();
  troubles = [];
});

function open(of = cluster): { life: Life; lines: UnfinishedLines } {
  const life = new Life(disk, network);
  const trouble = (text: string): void => void troubles.push(text);
  return { life, lines: openUnfinishedLines(of, { files: life.files, clock: life.clock, trouble }) };
}

const at = (text: string, cursor = text.length) => ({ text, cursor });

test("what is typed is on disk within 250 ms, in one write however much was typed", async () => {
  const { life, lines } = open();
  for (let length = 1; length <= 20; length++) {
    lines.set("bob", at("x".repeat(length)));
    await network.run(10);
  }
  expect(disk.steps).toBe(0);
  await network.run(60);
  expect(disk.steps).toBe(1);
  lines.set("bob", at("x".repeat(21)));
  await network.run(250);
  life.kill();
  expect(open().lines.get("bob")).toEqual(at("x".repeat(21)));
});

test("each conversation has its own, with its cursor and line breaks; one that was sent is gone", async () => {
  const { lines } = open();
  lines.set("bob", at("two\nlines 🙂", 3));
  await lines.flush();
  await lines.flush();
  lines.set("", at("to nobody yet"));
  lines.set("carol", at("gone"));
  lines.set("carol", null);
  lines.set("dora", at("gone"));
  lines.set("dora", at(""));
  await lines.close();
  const next = open().lines;
  const found = ["bob", "", "carol", "dora", "emil"].map((name) => next.get(name));
  expect(found).toEqual([at("two\nlines 🙂", 3), at("to nobody yet"), null, null, null]);
});

test("of another cluster there are none, and nothing is left behind when nothing is unfinished", async () => {
  const { lines } = open();
  lines.set("bob", at("hi"));
  await lines.close();
  expect(open(new Uint8Array(16).fill(8)).lines.get("bob")).toBeNull();
  const again = open().lines;
  again.set("bob", null);
  await again.close();
  expect(disk.files.size).toBe(0);
});

test("of an account that is no more nothing is left behind", async () => {
  const [lines, other] = [open().lines, open().lines];
  for (const each of [lines, other]) each.set("bob", at(each === lines ? "hi" : "hello"));
  await lines.flush();
  await other.close();
  lines.clear();
  await lines.close();
  expect(disk.files.size).toBe(0);
});

test.each(["nothing", "half", "all"] as Remains[])(
  "a crash at any write that leaves %s of it loses at most what that write was for",
  async (remains) => {
    for (let step = 1; step <= 5; step++) {
      disk = new MemoryDisk();
      disk.crash = { step, remains };
      const { life, lines } = open();
      let written = 0;
      for (let count = 1; count <= 5 && life.isAlive; count++) {
        lines.set("bob", at(`version ${count}`));
        void lines.flush().then(() => life.isAlive && (written = count));
        await network.run(1);
      }
      expect(life.isAlive).toBeFalse();
      const found = open().lines.get("bob")?.text ?? "version 0";
      expect([`version ${written}`, `version ${written + 1}`]).toContain(found);
      expect(written).toBe(step - 1);
    }
    expect(troubles).toEqual([]);
  },
);

test("two at once keep their own, and the next ones find both again", async () => {
  const [first, second] = [open().lines, open().lines];
  first.set("bob", at("in the first"));
  second.set("bob", at("in the second"));
  await Promise.all([first.close(), second.close()]);
  expect([open().lines.get("bob"), open().lines.get("bob")]).toEqual([at("in the first"), at("in the second")]);
});

test("what one of two left is found by a single next one, also after a crash of either", async () => {
  for (const step of [0, 1, 2, 3]) {
    disk = new MemoryDisk();
    const [first, second] = [open(), open()];
    second.lines.set("bob", at("to bob"));
    await second.lines.flush();
    second.life.kill();
    first.lines.set("carol", at("to carol"));
    await first.lines.close();
    disk.steps = 0;
    if (step > 0) disk.crash = { step, remains: "nothing" };
    const next = open();
    void next.lines.flush();
    await network.run(10);
    disk.crash = null;
    if (next.life.isAlive) await next.lines.close();
    const { lines } = open();
    expect([lines.get("bob"), lines.get("carol")]).toEqual([at("to bob"), at("to carol")]);
    await lines.close();
    expect(disk.files.size).toBe(1);
  }
});

test("of two lines to the same one, the second waits until the first was sent", async () => {
  const [first, second] = [open().lines, open().lines];
  first.set("bob", at("the first"));
  second.set("bob", at("the second"));
  second.set("carol", at("to carol"));
  await Promise.all([first.close(), second.close()]);
  const next = open().lines;
  expect([next.get("bob"), next.get("carol")]).toEqual([at("the first"), at("to carol")]);
  next.set("bob", null);
  await next.close();
  const { lines } = open();
  expect([lines.get("bob"), lines.get("carol")]).toEqual([at("the second"), at("to carol")]);
});

test("a disk that fails, or a place that cannot be used, is told once; the lines are there as long as the process", async () => {
  const { lines } = open();
  disk.fault = "cannot write: ENOSPC";
  for (const text of ["a", "ab"]) {
    lines.set("bob", at(text));
    await lines.flush();
  }
  expect([troubles, lines.get("bob")]).toEqual([["cannot write: ENOSPC"], at("ab")]);
  disk.isUnusable = true;
  const other = open(new Uint8Array(16)).lines;
  other.set("bob", at("x"));
  await other.close();
  expect([troubles.length, other.get("bob")]).toEqual([2, at("x")]);
});

test("a damaged line costs only itself", async () => {
  const { lines } = open();
  for (const name of ["bob", "carol"]) lines.set(name, at(`to ${name}`));
  await lines.close();
  const [[name, bytes] = ["", new Uint8Array(0)]] = disk.files;
  const broken = Uint8Array.from(bytes);
  broken[12] = (broken[12] ?? 0) ^ 1;
  disk.files.set(name, broken);
  const next = open().lines;
  expect([next.get("bob"), next.get("carol")]).toEqual([null, at("to carol")]);
  expect(troubles).toEqual(["1 of the unfinished lines cannot be read"]);
});

test("no more than 200 are kept: the one that was changed longest ago goes first", async () => {
  const { lines } = open();
  for (let count = 0; count < 201; count++) lines.set(`user${count}`, at("x"));
  expect([lines.get("user0"), lines.get("user1")]).toEqual([null, at("x")]);
});

/** `chatd inspect-log` as a process: its flags, its exit status, what it says when it cannot go on. */
import { afterAll, beforeAll, describe, expect, setDefaultTimeout, test } from "bun:test";
import {
  chmodSync,
  existsSync,
  mkdirSync,
  mkdtempSync,
  readdirSync,
  readFileSync,
  rmSync,
  writeFileSync,
} from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { openDisk } from "../../lib/io/disk.ts";
import { identity, makeEntry, type Entry } from "../../lib/log/log.fixture.ts";
import { openLog } from "../../lib/log/wal.ts";
import { corruptAlone } from "./golden-logs.fixture.ts";
import {
  copyOf,
  fixtures,
  inspecting,
  inspectLog,
  inspectLogTo,
  root,
  spawned,
  type Ran,
} from "./inspect-log.fixture.ts";

setDefaultTimeout(60_000);

let scratch: string;

beforeAll(() => {
  scratch = mkdtempSync(join(tmpdir(), "chatd-inspect-"));
});
afterAll(() => rmSync(scratch, { recursive: true, force: true }));

/** How to become somebody who may not read everything; null where that is impossible, or where they may read nothing. */
const asNobody = ((): readonly string[] | null => {
  if (process.getuid?.() !== 0) return [];
  if (Bun.which("setpriv") === null) return null;
  const prefix = ["setpriv", "--reuid", "65534", "--regid", "65534", "--clear-groups"];
  const readable = inspecting
    .slice(0, 2)
    .flatMap((path) => ["-a", "-r", path])
    .slice(1);
  return Bun.spawnSync([...prefix, "test", ...readable]).exitCode === 0 ? prefix : null;
})();

describe("inspect-log", () => {
  const sound = join("fixtures", "logs", "sound");
  const indexes = ({ output }: Ran): number[] =>
    output
      .split("\n")
      .slice(0, -1)
      .map((line) => Number(JSON.parse(line).index));

  test("narrows down by index, kind, view, op and number", async () => {
    const [range, kinds, view, op, limit] = await Promise.all([
      inspectLog(sound, "--json", "--from", "3", "--to", "5"),
      inspectLog(sound, "--json", "--kind", "view,act"),
      inspectLog(sound, "--json", "--view", "2.2", "--kind", "op"),
      inspectLog(sound, "--json", "--op", "bbbbbbbb-1111-4222-8333-444455556666/9"),
      inspectLog(sound, "--json", "--limit", "4", "--kind", "op"),
    ]);
    expect(indexes(range)).toEqual([3, 4, 5]);
    expect([...(kinds.output.match(/"kind":"\w+"/g) ?? [])]).toEqual(
      ["view", "act", "view", "act"].map((kind) => `"kind":"${kind}"`),
    );
    expect(indexes(view)).toEqual([23, 24]);
    expect(indexes(op)).toEqual([24]);
    expect(indexes(limit)).toEqual([3, 4, 5, 6]);
  });

  test("never shows secrets, and bodies only when asked", async () => {
    const [plain, bodies] = await Promise.all([inspectLog(sound, "--json"), inspectLog(sound, "--show-bodies")]);
    expect(plain.output).not.toContain("message 3");
    expect(bodies.output).toContain("message 3 to bob");
    for (const { output } of [plain, bodies]) {
      expect(output).not.toContain("argon2id");
      expect(output).not.toContain("7777777777");
      for (const moving of ["\u001b", "\u202e"]) expect(output).not.toContain(moving);
    }
  });

  test("counts", async () => {
    const { output, status } = await inspectLog(sound, "--stats", "--json");
    expect(status).toBe(0);
    expect(JSON.parse(output)).toMatchObject({
      first: 1,
      last: 24,
      kinds: { op: { records: 20 }, view: { records: 2 } },
    });
  });

  test("compares two logs", async () => {
    const other = join("fixtures", "logs", "superseded");
    const [same, differ] = await Promise.all([
      inspectLog(sound, "--compare", sound),
      inspectLog(sound, "--compare", other),
    ]);
    expect(same).toMatchObject({ status: 0, error: "" });
    expect(same.output).toMatch(/^the same: 24 entries/);
    expect(differ.status).toBe(3);
    expect(differ.output).toMatch(/^the same up to index 24, where .*sound ends; .*superseded goes on for 3 more/);
  });

  test("takes a data directory, a log directory or one segment, and leaves other files alone", async () => {
    const data = mkdtempSync(join(scratch, "data-"));
    mkdirSync(join(data, "log"));
    for (const file of readdirSync(copyOf("sound", scratch))) {
      writeFileSync(join(data, "log", file), readFileSync(join(fixtures, "sound", file)));
    }
    writeFileSync(join(data, "log", "00000009.corrupt"), "x");
    writeFileSync(join(data, "log", "next.tmp"), "x");
    const [whole, second] = await Promise.all([
      inspectLog(data, "--json", "--kind", "op"),
      inspectLog(join(data, "log", "00000002.wal"), "--json", "--kind", "op"),
    ]);
    expect(indexes(whole)).toHaveLength(20);
    expect(second.status).toBe(0);
    expect(indexes(second).length).toBeGreaterThan(1);
    expect(indexes(second)).toEqual(indexes(whole).slice(-indexes(second).length));
    expect(existsSync(join(data, "lock"))).toBe(false);
  });

  test("says what it cannot read, and what it was not asked right", async () => {
    const empty = mkdtempSync(join(scratch, "empty-"));
    const ran = await Promise.all([
      inspectLog(join(scratch, "nowhere")),
      inspectLog(empty),
      inspectLog(join(root, "package.json")),
      inspectLog(),
      inspectLog(sound, "--kinds", "op"),
      inspectLog(sound, "--kind", "ops"),
      inspectLog(sound, "--from", "-1"),
      inspectLog(sound, "--view", "3"),
    ]);
    expect(ran.map(({ status }) => status)).toEqual([4, 4, 4, 64, 64, 64, 64, 64]);
    for (const { error, output } of ran) {
      expect(output).toBe("");
      expect(error).toMatch(/^chatd: [^\n]+\n$/);
    }
  });

  test("says what happened when the output cannot be written", async () => {
    const run = (...words: string[]): Promise<Ran> => inspectLogTo("/dev/full", sound, ...words);
    for (const ran of await Promise.all([run(), run("--verify"), run("--json"), run("--follow"), run("--views")])) {
      expect(ran.status).toBe(74);
      expect(ran.error).toMatch(/^chatd: cannot write to stdout: .*no space left[^\n]*\n$/);
    }
  });

  test("gives every report as JSON too, and several at once", async () => {
    const [comparison, differs, both] = await Promise.all([
      inspectLog(sound, "--compare", sound, "--json"),
      inspectLog(join("fixtures", "logs", "forked"), "--compare", join("fixtures", "logs", "compacted"), "--json"),
      inspectLog(sound, "--stats", "--verify"),
    ]);
    expect(JSON.parse(comparison.output)).toMatchObject({ report: "compare", relation: "same", sameTo: 24 });
    expect(differs.status).toBe(3);
    expect(JSON.parse(differs.output)).toMatchObject({
      relation: "differ",
      sameTo: 24,
      differsFrom: 25,
      left: { first: 1, record: { kind: "view", view: "3.2" } },
      right: { first: 21, record: { kind: "op", view: "2.2" } },
    });
    expect(both.output).toMatch(/^kind .*\nclean: entries 1 to 24[^\n]*\n$/s);
  });

  test("shows bytes with JSON when both are asked for, and bodies in them only when asked", async () => {
    const [hidden, shown] = await Promise.all([
      inspectLog(sound, "--json", "--raw", "--op", "bbbbbbbb/9"),
      inspectLog(sound, "--json", "--raw", "--op", "bbbbbbbb/9", "--show-bodies"),
    ]);
    const text = Buffer.from("still there?").toHex();
    expect(JSON.parse(hidden.output).payload).toMatch(/^[0-9a-f]+\.{42}$/);
    expect(JSON.parse(shown.output).payload).toContain(text);
    expect(JSON.parse(shown.output).header).toHaveLength(80);
  });

  test("does not promise to a cluster of one that a peer will repair its log", async () => {
    const directory = mkdtempSync(join(scratch, "alone-"));
    const disk = corruptAlone();
    for (const file of disk.list()) writeFileSync(join(directory, file), disk.contentOf(file));
    const [text, json] = await Promise.all([
      inspectLog(directory, "--verify"),
      inspectLog(directory, "--verify", "--json"),
    ]);
    expect(text.status).toBe(3);
    expect(text.output).toContain("no other replica to repair it from");
    expect(text.output).not.toContain("from a peer");
    expect(JSON.parse(json.output)).toMatchObject({ state: "corrupt", replicas: 1, damage: [{ fault: "checksum" }] });
  });

  test("says where the log begins or ends when nothing that was asked for is in it", async () => {
    const compacted = join("fixtures", "logs", "compacted");
    const [before, behind] = await Promise.all([
      inspectLog(compacted, "--json", "--to", "9"),
      inspectLog(compacted, "--json", "--from", "300"),
    ]);
    expect(before).toMatchObject({ status: 0, output: "" });
    expect(before.error).toMatch(/the log begins at index 21/);
    expect(behind).toMatchObject({ status: 0, output: "" });
    expect(behind.error).toMatch(/the log ends at index 36/);
  });

  test("says so when nothing matches, with the status of the log as it is", async () => {
    const torn = join("fixtures", "logs", "torn");
    const [op, view, segment, found] = await Promise.all([
      inspectLog(sound, "--op", "5bd9e3f0/7"),
      inspectLog(torn, "--json", "--view", "99.3", "--kind", "op"),
      inspectLog(join(sound, "00000002.wal"), "--from", "1", "--to", "1", "--kind", "act"),
      inspectLog(sound, "--view", "1.1", "--limit", "1"),
    ]);
    expect(op.status).toBe(0);
    expect(op.error).toContain("no record matches --op 5bd9e3f0/7: what was read holds the entries 1 to 24");
    expect(view).toMatchObject({ status: 2, output: "" });
    expect(view.error).toContain("no record matches --kind op --view 99.3: ");
    expect(segment.error).toContain("the log begins at index");
    expect(found.error).toBe("");
  });

  test("judges a segment in the middle by where the next one says that it ends", async () => {
    const directory = copyOf("sound", scratch);
    const [first = ""] = readdirSync(directory);
    const bytes = readFileSync(join(directory, first));
    writeFileSync(join(directory, first), bytes.subarray(0, 3000));
    const ran = await inspectLog(join(directory, first), "--verify");
    expect(ran.status).toBe(3);
    expect(ran.output).toMatch(/^corrupt: .*missing/);
  });

  test.skipIf(asNobody === null)(
    "names what may not be read, and says what to do",
    async () => {
      const directory = copyOf("sound", scratch);
      for (const [path, mode] of [
        [join(directory, "00000001.wal"), 0],
        [directory, 0],
      ] as const) {
        chmodSync(scratch, 0o755);
        chmodSync(path === directory ? path : directory, 0o755);
        chmodSync(path, mode);
        const { error, status } = await spawned([...(asNobody ?? []), ...inspecting, directory]);
        expect(error).toMatch(new RegExp(`^chatd: cannot .*${path}.*: permission denied; run it as the user`));
        expect(status).toBe(4);
        chmodSync(path, 0o700);
      }
    },
    60_000,
  );

  test("is not bothered by a reader that leaves, and loses nothing to a slow one", async () => {
    const directory = mkdtempSync(join(scratch, "large-"));
    const count = 20_000;
    await new Promise<void>((resolve, reject) => {
      const wal = openLog(openDisk(directory), identity, {
        persisted: () => wal.close(() => resolve()),
        failed: reject,
      });
      const records: Uint8Array[] = [];
      let previous: Entry | null = null;
      for (let at = 0; at < count; at++) {
        previous = makeEntry(previous, 257, new Uint8Array(1));
        records.push(previous.bytes);
      }
      wal.append(1, records, 0);
    });
    const command = `"${process.execPath}" "${join(root, "cmd/chatd/main.ts")}" inspect-log "${directory}" --json`;
    const shell = (line: string): Promise<[string, string, number]> => {
      const child = Bun.spawn({ cmd: ["sh", "-c", line], stdio: ["ignore", "pipe", "pipe"] });
      return Promise.all([child.stdout.text(), child.stderr.text(), child.exited]);
    };
    const [left, slow] = await Promise.all([
      shell(`{ ${command}; echo "status $?" >&2; } | head -1`),
      shell(`${command} | { sleep 1; wc -l; }`),
    ]);
    expect(left[0].split("\n")).toHaveLength(2);
    expect(left[1]).toBe("status 0\n");
    expect(Number(slow[0])).toBeGreaterThan(count);
  });
});

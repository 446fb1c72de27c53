/**
 * What every `Disk` must do, as one suite run against the real and the simulated one.
 */
import { describe, expect, test } from "bun:test";
import { DiskError, type Disk } from "./disk.ts";

export interface DiskUnderTest {
  /** A disk without files. */
  readonly disk: Disk;
  /** Lets asynchronous syncs end, until this is fulfilled. */
  readonly settle: (until: Promise<void>) => Promise<void>;
  readonly dispose: () => void;
}

const text = (value: string): Uint8Array => new TextEncoder().encode(value);

export function diskContract(name: string, make: () => DiskUnderTest): void {
  const using = (run: (under: DiskUnderTest) => Promise<void> | void) => async (): Promise<void> => {
    const under = make();
    try {
      await run(under);
    } finally {
      under.dispose();
    }
  };

  describe(`the ${name} disk`, () => {
    test(
      "calls a file by its new name when it is renamed while it is open",
      using(({ disk }) => {
        const file = disk.open("a.tmp", "create");
        disk.rename("a.tmp", "a");
        expect(file.name).toBe("a");
        file.write([text("it is the same file")], 0);
        file.close();
        expect(disk.open("a", "read").sizeBytes()).toBe(19);
      }),
    );

    test(
      "creates, lists in order, renames over and removes files",
      using(({ disk }) => {
        for (const file of ["b", "a", "c"]) disk.open(file, "create").close();
        expect(disk.list()).toEqual(["a", "b", "c"]);
        disk.rename("c", "a");
        disk.remove("b");
        disk.syncDirectory();
        expect(disk.list()).toEqual(["a"]);
      }),
    );

    test(
      "fails with a DiskError that has a cause and names the file",
      using(({ disk }) => {
        disk.open("there", "create").close();
        for (const failing of [
          () => disk.open("absent", "read"),
          () => disk.open("absent", "write"),
          () => disk.open("there", "create"),
          () => disk.remove("absent"),
          () => disk.rename("absent", "b"),
          () => disk.open("there", "read").write([text("x")], 0),
        ]) {
          let thrown: unknown;
          try {
            failing();
          } catch (error) {
            thrown = error;
          }
          expect(thrown).toBeInstanceOf(DiskError);
          expect((thrown as DiskError).message).toMatch(/absent|there/);
          expect((thrown as DiskError).cause).toBeInstanceOf(Error);
        }
      }),
    );

    test(
      "writes many buffers at one place and reads them back, fewer only at the end",
      using(({ disk }) => {
        const file = disk.open("a", "create");
        const buffers = Array.from({ length: 1024 }, (_, at) => new Uint8Array(3).fill(at));
        expect(file.write(buffers, 5)).toBe(3 * 1024);
        expect(file.sizeBytes()).toBe(5 + 3 * 1024);
        const into = new Uint8Array(10);
        expect(file.read(into, 2)).toBe(10);
        expect([...into]).toEqual([0, 0, 0, 0, 0, 0, 1, 1, 1, 2]);
        expect(file.read(into, 5 + 3 * 1024 - 4)).toBe(4);
        expect(file.read(into, 5 + 3 * 1024)).toBe(0);
        file.close();
        const again = disk.open("a", "write");
        expect(again.write([text("xyz")], 0)).toBe(3);
        expect(again.sizeBytes()).toBe(5 + 3 * 1024);
        again.close();
      }),
    );

    test(
      "ends a sync later, never within the call, and any number of them",
      using(async ({ disk, settle }) => {
        const file = disk.open("a", "create");
        file.write([text("abc")], 0);
        const ended: (DiskError | null)[] = [];
        const sync = (): Promise<void> =>
          new Promise((resolve) => {
            file.sync((error) => {
              ended.push(error);
              resolve();
            });
          });
        const first = sync();
        expect(ended).toHaveLength(0);
        await settle(first);
        expect(ended).toEqual([null]);
        const second = sync();
        file.syncBlocking();
        await settle(second);
        expect(ended).toEqual([null, null]);
        file.close();
      }),
    );

    test(
      "keeps reading a file that was replaced, for who has it open",
      using(({ disk }) => {
        const old = disk.open("a", "create");
        old.write([text("old")], 0);
        const fresh = disk.open("b", "create");
        fresh.write([text("new")], 0);
        disk.rename("b", "a");
        const into = new Uint8Array(3);
        old.read(into, 0);
        expect(new TextDecoder().decode(into)).toBe("old");
        disk.open("a", "read").read(into, 0);
        expect(new TextDecoder().decode(into)).toBe("new");
      }),
    );
  });
}

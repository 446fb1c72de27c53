/** Whatever moment the machine stops at, nothing that was acknowledged is lost and nothing is made up. */
import { describe, expect, setDefaultTimeout, test } from "bun:test";
import { MachineStopped } from "../sim/disk.ts";
import { LogUnderLoad } from "./log.fixture.ts";

// Thousands of crashes on a busy machine: the 5 s that Bun gives a test are for less.
setDefaultTimeout(60_000);

/** One seed's load: appends, syncs, reads, now and then a process that is closed or ends. */
function load(log: LogUnderLoad, steps: number): void {
  const { random } = log;
  log.open();
  for (let step = 0; step < steps; step++) {
    const draw = random.fraction();
    if (draw < 0.55) log.appendSomething();
    else if (draw < 0.85) log.settle(1 + random.below(3));
    else if (draw < 0.9) log.readSomething();
    else if (draw < 0.94) log.compactSomething();
    else if (draw < 0.97) {
      log.settle();
      let closed = false;
      log.wal?.close((error) => {
        expect(error).toBeNull();
        closed = true;
      });
      log.settle();
      expect(closed).toBe(true);
      log.end("restart");
      log.open();
    } else {
      log.end("restart");
      log.open();
    }
  }
}

/** Runs until the machine stops, if it does; then power is cut and the log opened, perhaps with another stop in that. */
function stopAndReopen(log: LogUnderLoad, run: () => void): void {
  for (let work = run; ; work = () => void log.open()) {
    try {
      work();
      return;
    } catch (error) {
      if (!(error instanceof MachineStopped)) throw error;
    }
    log.end("crash");
    log.disk.stopAt = log.random.chance(0.5) ? 1 + log.random.below(12) : Infinity;
  }
}

function onFailure(command: string, run: () => void): void {
  try {
    run();
  } catch (error) {
    throw new Error(`${command}: ${error instanceof Error ? error.message : String(error)}`, { cause: error });
  }
}

describe("a log on a machine that stops", () => {
  test("at every single operation opens with all that was acknowledged", () => {
    let boundaries = 0;
    for (let seed = 0; seed < 12; seed++) {
      const whole = new LogUnderLoad(seed, 4096);
      load(whole, 40);
      for (let stopAt = 1; stopAt <= 90; stopAt++) {
        onFailure(`seed ${seed}, operation ${stopAt}`, () => {
          const log = new LogUnderLoad(seed, 4096);
          log.disk.stopAt = stopAt;
          stopAndReopen(log, () => load(log, 40));
          log.disk.stopAt = Infinity;
          log.appendSomething();
          log.settle();
          log.end("crash");
          log.open();
          log.readSomething();
        });
        boundaries++;
      }
    }
    expect(boundaries).toBe(12 * 90);
  });

  test("again and again keeps what was acknowledged, for hundreds of seeds", () => {
    let compactions = 0;
    for (let seed = 1000; seed < 1400; seed++) {
      onFailure(`seed ${seed}`, () => {
        const log = new LogUnderLoad(seed, log2(seed));
        for (let life = 0; life < 4; life++) {
          log.disk.stopAt = log.disk.operations + 5 + log.random.below(80);
          stopAndReopen(log, () => load(log, 30));
          log.disk.stopAt = Infinity;
          log.end(log.random.chance(0.7) ? "crash" : "restart");
        }
        log.open();
        compactions += log.compactions;
      });
    }
    expect(compactions).toBeGreaterThan(100);
  });

  test("after its process was killed at any operation of opening keeps what the next one acknowledged", () => {
    for (let seed = 1; seed <= 20; seed++) {
      for (let stopAt = 1, isKilled = true; isKilled; stopAt++) {
        onFailure(`seed ${seed}, killed before operation ${stopAt}`, () => {
          const log = new LogUnderLoad(seed, 8192);
          load(log, 6);
          log.end("restart");
          isKilled = isStopped(log, stopAt);
          log.end("restart");
          log.open();
          for (let count = 0; count < 5; count++) {
            log.appendSomething();
            log.settle();
          }
          log.end("crash");
          log.open();
          log.readSomething();
        });
      }
    }
  });
});

/** Whether opening comes to this operation, before which it ends. */
function isStopped(log: LogUnderLoad, stopAt: number): boolean {
  log.disk.stopAt = stopAt;
  try {
    log.open();
    return false;
  } catch (error) {
    if (!(error instanceof MachineStopped)) throw error;
    return true;
  }
}

/** Small segments and larger ones, so that both rolling over and long tails are met. */
const log2 = (seed: number): number => 2048 << (seed % 4);

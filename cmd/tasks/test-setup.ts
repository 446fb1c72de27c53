/** Loaded before every test file (bunfig.toml): tests that run real processes take longer than the default of 5 s. */
import { setDefaultTimeout } from "bun:test";

setDefaultTimeout(60_000);

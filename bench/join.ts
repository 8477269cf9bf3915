import { seconds } from './command.ts';
import { type Benchmark, type Measurement, median } from './report.ts';
import { type Driver, DRIVERS, withSandbox } from './sandbox.ts';

const RUNS = 3;

interface Times {
  /** From the start of the second `join` until both clusters are connected and probes come back. */
  readonly connectedS: number;
  /** The `join` command alone. */
  readonly joinS: number;
}

function measure(driver: Driver, signal: AbortSignal): Promise<Times> {
  return withSandbox(2, signal, async (sandbox) => {
    await sandbox.deployBroker();
    await sandbox.join('east', driver);
    const joinS = await seconds(() => sandbox.join('west', driver));
    return { joinS, connectedS: joinS + (await seconds(() => sandbox.connected())) };
  });
}

function row(what: string, values: readonly number[]): Measurement {
  const range = `${Math.min(...values).toFixed(1)} to ${Math.max(...values).toFixed(1)}`;
  return { what, value: median(values), unit: 's', note: `median of ${values.length}, ${range}` };
}

/** How long it takes until a cluster that joins is connected, by driver; a new sandbox each time, drivers in turns. */
export const join: Benchmark = {
  name: 'join',
  run: async (signal) => {
    const times: Record<Driver, Times[]> = { ipsec: [], wireguard: [], vxlan: [] };
    for (let round = 0; round < RUNS; round += 1) {
      for (const driver of DRIVERS) times[driver].push(await measure(driver, signal));
    }
    return DRIVERS.flatMap((driver) => [
      row(
        `${driver}: subctl join until connected both ways`,
        times[driver].map(({ connectedS }) => connectedS),
      ),
      row(
        `${driver}: of that, the command itself`,
        times[driver].map(({ joinS }) => joinS),
      ),
    ]);
  },
};

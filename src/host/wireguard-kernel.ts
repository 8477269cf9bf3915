import { mkdirSync, rmSync, writeFileSync } from 'node:fs';
import path from 'node:path';
import { CommandError, type CommandRunner } from './command.ts';
import { takenPort } from './port-owner.ts';
import { parseDump, wgCommands, type DeviceChange, type ObservedDevice } from './wg.ts';
import type { WireguardDevice } from './wireguardgo.ts';

/** Whether the kernel has the link, or makes it now; false when it has no WireGuard. */
export async function ensureKernelLink(runner: CommandRunner, link: string): Promise<boolean> {
  const { stdout } = await runner.run('ip', ['-j', '-d', 'link', 'show', 'dev', link], { okExitCodes: [0, 1] });
  if (/"info_kind":\s*"wireguard"/.test(stdout)) return true;
  try {
    await runner.run('ip', ['link', 'add', link, 'type', 'wireguard']);
    return true;
  } catch (error) {
    const absent = /Unknown device type|Operation not supported|Not supported/i;
    if (error instanceof CommandError && absent.test(error.stderr)) return false;
    throw error;
  }
}

/** A WireGuard link of the kernel, through the program `wg`. */
export class KernelWireguard implements WireguardDevice {
  readonly #runner: CommandRunner;
  readonly #link: string;
  readonly #folder: string;

  /** `folder` holds a key file (mode 0600) for as long as `wg` runs. */
  constructor(runner: CommandRunner, link: string, folder: string) {
    this.#runner = runner;
    this.#link = link;
    this.#folder = folder;
  }

  async observe(): Promise<ObservedDevice> {
    const { stdout } = await this.#runner.run('wg', ['show', this.#link, 'dump']);
    return parseDump(stdout);
  }

  async apply(change: DeviceChange): Promise<void> {
    const keyFile = path.join(this.#folder, 'wg-set.key');
    try {
      mkdirSync(this.#folder, { recursive: true, mode: 0o700 });
      for (const { args, key } of wgCommands(this.#link, change, keyFile)) {
        if (key !== undefined) writeFileSync(keyFile, `${key}\n`, { mode: 0o600 });
        await this.#runner.run('wg', args);
      }
    } catch (error) {
      const inUse = error instanceof CommandError && error.stderr.includes('Address already in use');
      if (inUse && change.listenPort !== undefined) {
        throw (await takenPort(this.#runner, change.listenPort, 'WireGuard')) ?? error;
      }
      throw error;
    } finally {
      rmSync(keyFile, { force: true });
    }
  }
}

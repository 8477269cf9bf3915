import { findProgram } from '../../host/daemon.ts';
import type { CommandRunner } from '../../host/command.ts';
import { ExpectedError } from '../../runtime/errors.ts';

/** The images that `subctl join` asks for unless it is told otherwise. */
export function joinedImages(version: string): readonly string[] {
  return ['submariner-gateway', 'submariner-route-agent'].map((name) => `localhost/subctl/${name}:${version}`);
}

/** The folder of the storage that has the images. Rejects with the command that helps when podman or an image is missing. */
export async function requireImages(runner: CommandRunner, version: string): Promise<string> {
  if (findProgram('podman') === undefined) {
    throw new ExpectedError('--runtime podman needs podman', {
      hint: 'apt-get install -y --no-install-recommends podman runc',
    });
  }
  for (const image of joinedImages(version)) {
    const { exitCode } = await runner.run('podman', ['image', 'exists', image], { okExitCodes: [0, 1] });
    if (exitCode === 0) continue;
    throw new ExpectedError(`there is no image ${image} on this machine`, {
      hint: 'Build the images first: npm run images (or, without an image registry: npm run images -- --local-base)',
    });
  }
  const { stdout } = await runner.run('podman', ['info', '--format={{.Store.GraphRoot}}']);
  return stdout.trim();
}

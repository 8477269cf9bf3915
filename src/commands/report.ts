import { inOrder } from '../kube/apply.ts';
import type { KubeObject } from '../kube/client.ts';
import type { CommandRun } from './context.ts';
import { countOutcomes, describeWritten, type Written } from './objects.ts';
import { renderManifests, renderStructured } from './output.ts';

/** Prints manifests to stdout for --dry-run, in an order in which they can be applied: YAML unless -o says json or name. */
export async function printManifests(
  run: CommandRun,
  manifests: readonly KubeObject[],
  changed = 'nothing was changed',
): Promise<void> {
  const objects = inOrder(manifests);
  const { output } = run.flags;
  if (output === 'name') {
    run.print(
      objects
        .map(objectName)
        .map((name) => `${name}\n`)
        .join(''),
    );
  } else {
    run.print(await renderManifests(objects, output === 'json' ? 'json' : 'yaml'));
  }
  run.reporter.done(`Dry run: ${objects.length} objects, ${changed}`);
}

/** `kind.group/name` of an object, as kubectl -o name prints it. */
function objectName({ apiVersion = '', kind = '', metadata }: KubeObject): string {
  const group = apiVersion.includes('/') ? `.${apiVersion.slice(0, apiVersion.indexOf('/'))}` : '';
  return `${kind.toLowerCase()}${group}/${metadata.name ?? ''}`;
}

/** Reports what was written, as soon as it is: counts on stderr, the objects on stdout as lines unless -o asks for data. */
export function reportWritten(run: CommandRun, objects: readonly Written[]): void {
  const { output, verbosity } = run.flags;
  if (output !== 'json' && output !== 'yaml' && verbosity >= 0) {
    const shown =
      output === 'name'
        ? objects.map(({ kind, name }) => `${kind.toLowerCase()}/${name}`)
        : objects.map(describeWritten);
    run.print(shown.map((line) => `${line}\n`).join(''));
  }
  run.reporter.done(`Objects: ${countOutcomes(objects)}`);
}

/** Prints the result of a command that wrote objects, when -o asks for data. */
export async function printResult(
  run: CommandRun,
  facts: Readonly<Record<string, unknown>>,
  objects: readonly Written[],
): Promise<void> {
  const { output } = run.flags;
  if (output === 'json' || output === 'yaml') run.print(await renderStructured({ ...facts, objects }, output));
}

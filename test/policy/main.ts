// The admission policy of a broker, asked of the admission plugin of a kube-apiserver itself: npm run test:policy -- DIR
import { spawnSync } from 'node:child_process';
import { existsSync, globSync, mkdirSync, rmSync, writeFileSync } from 'node:fs';
import path from 'node:path';
import { fileURLToPath } from 'node:url';
import { Failure, privateApt, run } from '../../tools/debian.ts';
import { binding, CASES, NAMESPACE, policy, type Case } from '../commands/admissioncases.ts';

/** Rolls on; no release has the library in a version with policies yet. */
const SUITE = 'sid';
const LIBRARY = 'golang-k8s-apiserver-dev';
const USAGE = `usage: npm run test:policy -- DIR

Builds the admission plugin out of Debian's package ${LIBRARY} (${SUITE}) in DIR, which takes minutes and some
GB, once, and lets it decide the cases of test/commands/admissioncases.ts by the policy in templates/admission.
`;

interface Decision {
  readonly allowed: boolean;
  readonly code: number;
  readonly message: string;
}

const say = (text: string): void => void process.stderr.write(`policy: ${text}\n`);

/** Fetches the library with all it needs, and the compiler, and builds; nothing is installed. */
function build(dir: string): void {
  const work = path.join(dir, 'build');
  const debs = path.join(work, 'apt');
  rmSync(work, { recursive: true, force: true });
  mkdirSync(debs, { recursive: true });
  const nothing = path.join(debs, 'status');
  writeFileSync(nothing, '');
  const apt = privateApt(debs, SUITE, nothing);
  say(`fetching ${LIBRARY} and Go from Debian ${SUITE}`);
  apt('update');
  apt('install', '--yes', '--download-only', '--no-install-recommends', LIBRARY, 'golang-any');
  const root = path.join(work, 'root');
  for (const deb of globSync(path.join(debs, 'archives/golang-*.deb'))) run('dpkg-deb', ['-x', deb, root]);
  const [goRoot] = globSync(path.join(root, 'usr/lib/go-*'));
  if (goRoot === undefined) throw new Failure(`no Go compiler among the packages in ${debs}`);
  const [library = ''] = globSync(path.join(debs, `archives/${LIBRARY}_*`));
  say(`compiling with ${path.basename(library)} (minutes)`);
  const env = {
    ...process.env,
    GOROOT: goRoot,
    GOPATH: path.join(root, 'usr/share/gocode'),
    GOCACHE: path.join(work, 'cache'),
    GOFLAGS: '',
    GOTOOLCHAIN: 'local',
    GO111MODULE: 'off',
    CGO_ENABLED: '0',
  };
  const source = fileURLToPath(new URL('main.go', import.meta.url));
  run('nice', [path.join(goRoot, 'bin/go'), 'build', '-o', path.join(dir, 'policy'), source], { env });
  rmSync(work, { recursive: true, force: true });
}

/** The policy with what a server adds to it. */
function asStored(): object {
  const { spec, ...rest } = structuredClone<unknown>(policy) as {
    spec: { matchConstraints: { resourceRules: object[] } };
  };
  const { resourceRules, ...constraints } = spec.matchConstraints;
  const matchConstraints = {
    matchPolicy: 'Equivalent',
    objectSelector: {},
    ...constraints,
    resourceRules: resourceRules.map((rule) => ({ scope: '*', ...rule })),
  };
  return { ...rest, spec: { ...spec, matchConstraints } };
}

function requestOf({ seen: { request, object, oldObject } }: Case): object {
  const { resource } = request.resource;
  const kind = resource === 'clusters' ? 'Cluster' : 'Endpoint';
  const stored = (one: object | null): object | null => one && { apiVersion: 'submariner.io/v1', kind, ...one };
  return {
    user: request.userInfo.username,
    operation: request.operation,
    resource,
    kind,
    namespace: NAMESPACE,
    name: (object ?? oldObject)?.metadata.name,
    object: stored(object),
    oldObject: stored(oldObject),
  };
}

function decisions(program: string): readonly Decision[] {
  const labels = { 'kubernetes.io/metadata.name': NAMESPACE };
  const namespace = { apiVersion: 'v1', kind: 'Namespace', metadata: { name: NAMESPACE, labels } };
  const denied = CASES.find(({ messages }) => messages.length > 0);
  const input = {
    objects: [namespace, asStored(), binding],
    denied: denied && requestOf(denied),
    requests: CASES.map(requestOf),
  };
  const { status, stdout, stderr } = spawnSync(program, { input: JSON.stringify(input), encoding: 'utf8' });
  if (status !== 0) throw new Failure(`${program} failed: ${stderr}`);
  return JSON.parse(stdout) as readonly Decision[];
}

/** What is wrong with a decision. An expression that cannot be evaluated is refused without its message. */
function faultOf({ messages }: Case, { allowed, code, message }: Decision): string | undefined {
  if (allowed !== (messages.length === 0)) return allowed ? 'is allowed' : `is refused: ${message}`;
  const [first] = messages;
  const told = first === undefined || message.includes(first) || message.includes('resulted in error');
  return told && [200, 403, 422].includes(code) ? undefined : `is refused with ${code}: ${message}`;
}

function main(args: readonly string[]): void {
  const [dir, ...more] = args;
  if (dir === '--help' || dir === '-h') return console.log(USAGE);
  if (dir === undefined || dir.startsWith('-') || more.length > 0) {
    process.stderr.write(USAGE);
    process.exit(2);
  }
  const program = path.resolve(dir, 'policy');
  if (!existsSync(program)) build(path.resolve(dir));
  const made = decisions(program);
  const faults = CASES.map((one, index) => faultOf(one, made[index]!));
  for (const [index, { title }] of CASES.entries()) {
    const fault = faults[index];
    console.log(fault === undefined ? `ok     ${title}` : `FAILED ${title}: ${fault}`);
  }
  const failed = faults.filter((fault) => fault !== undefined).length;
  console.log(`${CASES.length - failed} passed, ${failed} failed`);
  process.exitCode = failed === 0 ? 0 : 1;
}

try {
  main(process.argv.slice(2));
} catch (error) {
  if (!(error instanceof Failure)) throw error;
  say(error.message);
  process.exit(1);
}

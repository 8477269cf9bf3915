// A real kube-apiserver and etcd from Debian's packages alone: npm run kube-apiserver -- DIR
// Debian ships no kube-apiserver, but the source of its package kubernetes has it. The source and the Go compiler to build it
// are fetched through a private apt configuration into DIR/build: nothing is installed, the machine's sources stay as they are.
import { cpSync, existsSync, globSync, mkdirSync, readFileSync, renameSync, rmSync, writeFileSync } from 'node:fs';
import path from 'node:path';
import { Failure, privateApt, run } from './debian.ts';

/** The release whose source of kubernetes holds the server, and the compiler that still builds it (with modules it would not). */
const SUITE = 'bookworm';
const GO = '1.19';
/** Reads the runtime's maps in the way of compilers up to 1.17 where it is vendored, and crashes with later ones on any custom resource. */
const REFLECT2 = { deb: 'golang-github-modern-go-reflect2-dev', path: 'github.com/modern-go/reflect2' };
/** Compares two descriptions of a value, which differed in any case with compilers of its time; now '', 0 and false would be null. */
const NULL_CHECK = {
  file: 'vendor/k8s.io/kube-openapi/pkg/validation/validate/type.go',
  old: 'data == nil || reflect.DeepEqual(reflect.Zero(reflect.TypeOf(data)), reflect.ValueOf(data))',
  meant: 'data == nil',
};
const USAGE = `usage: npm run kube-apiserver -- DIR [--keep-build]

Makes DIR/kube-apiserver and DIR/etcd from Debian's packages; takes about 5 minutes of two cores and 2 GB below DIR.
Then: KUBEBUILDER_ASSETS=DIR npm run test:kube, or: subctl sandbox up --control-plane DIR
`;

const say = (text) => process.stderr.write(`kube-apiserver: ${text}\n`);

/** Fetches the source, the compiler and etcd, and unpacks them below the build directory. */
function fetch(build) {
  const dir = path.join(build, 'apt');
  const apt = privateApt(dir, SUITE);
  say(`fetching from Debian ${SUITE}: source of kubernetes, Go ${GO}, etcd`);
  apt('update');
  apt('source', '--download-only', 'kubernetes');
  apt('download', `golang-${GO}-go`, `golang-${GO}-src`, 'etcd-server', REFLECT2.deb);
  const root = path.join(build, 'root');
  for (const deb of globSync(path.join(dir, '*.deb'))) run('dpkg-deb', ['-x', deb, root]);
  const source = path.join(build, 'gopath/src/k8s.io/kubernetes');
  mkdirSync(source, { recursive: true });
  const [tarball] = globSync(path.join(dir, 'kubernetes_*.orig.tar.*'));
  if (tarball === undefined) throw new Failure(`apt-get source left no tarball in ${dir}`);
  run('tar', ['xf', tarball, '-C', source, '--strip-components=1']);
  suitCompiler(root, source);
  return { root, source, version: /really([\d.]+)\.orig|_([\d.]+)\.orig/.exec(tarball)?.slice(1).find(Boolean) ?? '' };
}

/** Mends the two places of the source that mean something else to this compiler than to the one it was written for. */
function suitCompiler(root, source) {
  const vendored = path.join(source, 'vendor', REFLECT2.path);
  rmSync(vendored, { recursive: true });
  cpSync(path.join(root, 'usr/share/gocode/src', REFLECT2.path), vendored, { recursive: true });
  const file = path.join(source, NULL_CHECK.file);
  const text = readFileSync(file, 'utf8');
  if (!text.includes(NULL_CHECK.old)) throw new Failure(`${NULL_CHECK.file} is not the source expected`);
  writeFileSync(file, text.replace(NULL_CHECK.old, NULL_CHECK.meant));
}

/** go, as wanted by sources that were written before modules: the packages are where GOPATH says. */
function compiler(build, root, source) {
  const env = {
    ...process.env,
    GOROOT: path.join(root, `usr/lib/go-${GO}`),
    GOPATH: path.join(build, 'gopath'),
    GOCACHE: path.join(build, 'cache'),
    GOFLAGS: '',
    GO111MODULE: 'off',
    CGO_ENABLED: '0',
  };
  return {
    go: (...args) => run('nice', [path.join(env.GOROOT, 'bin/go'), ...args], { cwd: source, env }),
    generated: (file, args) => run('nice', [file, ...args], { cwd: source, env }),
  };
}

/** Packages below a directory of the source that ask for a description of their types. */
function describedPackages(source) {
  const pattern = '^// *+k8s:openapi-gen=';
  const dirs = ['pkg', 'cmd', 'plugin', 'vendor/k8s.io/'];
  // -R follows vendor's links into staging/.
  const files = run('grep', ['-Rl', '--include=*.go', pattern, ...dirs], { cwd: source })
    .trim()
    .split('\n');
  const packages = new Set(files.map((file) => path.dirname(file)));
  const apart = /\/(code-generator|sample-apiserver)\//;
  return [...packages].filter((one) => !apart.test(`${one}/`)).toSorted((a, b) => (a < b ? -1 : 1));
}

/** Writes the one generated file that the source package lacks. */
function generateDescriptions({ go, generated }, build, source) {
  const tool = path.join(build, 'openapi-gen');
  const project = 'k8s.io/kubernetes';
  go('build', '-o', tool, './vendor/k8s.io/kube-openapi/cmd/openapi-gen');
  const inputs = describedPackages(source).map((one) => `${project}/${one}`);
  const header = path.join(source, 'vendor/k8s.io/code-generator/hack/boilerplate.go.txt');
  const output = ['-p', `${project}/pkg/generated/openapi`, '-O', 'zz_generated.openapi', '-h', header];
  const report = path.join(build, 'violations');
  generated(tool, ['-i', inputs.join(','), ...output, '-r', report]);
  const known = readFileSync(path.join(source, 'api/api-rules/violation_exceptions.list'), 'utf8');
  if (readFileSync(report, 'utf8') !== known)
    throw new Failure('openapi-gen describes other types than the release did; the source is not the one expected');
}

function build(dir, keep) {
  const work = path.join(dir, 'build');
  rmSync(work, { recursive: true, force: true });
  mkdirSync(work, { recursive: true });
  const { root, source, version } = fetch(work);
  const tools = compiler(work, root, source);
  say('generating the description of the API types');
  generateDescriptions(tools, work, source);
  say(`compiling kube-apiserver ${version} (minutes)`);
  const [major, minor] = version.split('.');
  const flags = ['k8s.io/kubernetes/vendor/k8s.io/component-base', 'k8s.io/kubernetes/vendor/k8s.io/client-go/pkg']
    .flatMap((one) =>
      [`gitVersion=v${version}`, `gitMajor=${major}`, `gitMinor=${minor}`].map((x) => `-X ${one}/version.${x}`),
    )
    .join(' ');
  tools.go('build', '-o', path.join(work, 'kube-apiserver'), '-ldflags', `-s -w ${flags}`, './cmd/kube-apiserver');
  renameSync(path.join(root, 'usr/bin/etcd'), path.join(dir, 'etcd'));
  renameSync(path.join(work, 'kube-apiserver'), path.join(dir, 'kube-apiserver'));
  if (!keep) rmSync(work, { recursive: true, force: true });
}

function main(args) {
  const dirs = args.filter((word) => !word.startsWith('-'));
  const unknown = args.filter((word) => word.startsWith('-') && word !== '--keep-build');
  if (args.includes('--help') || args.includes('-h')) {
    console.log(USAGE);
    return;
  }
  if (dirs.length !== 1 || unknown.length > 0) {
    process.stderr.write(USAGE);
    process.exit(2);
  }
  const dir = path.resolve(dirs[0]);
  const programs = ['kube-apiserver', 'etcd'].map((name) => path.join(dir, name));
  if (!programs.every((file) => existsSync(file))) build(dir, args.includes('--keep-build'));
  for (const file of programs) say(`${file}: ${run(file, ['--version']).split('\n')[0]}`);
  console.log(dir);
}

try {
  main(process.argv.slice(2));
} catch (error) {
  if (!(error instanceof Failure)) throw error;
  say(error.message);
  process.exit(1);
}

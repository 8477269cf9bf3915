// Import rules of ARCHITECTURE.md. test/architecture.test.ts runs them and fails when no module is seen.
const internal = ['net', 'api', 'runtime', 'host', 'kube', 'engine', 'routeagent', 'sandbox', 'commands'];
const may = {
  net: [],
  api: ['net'],
  runtime: [],
  host: ['net', 'runtime'],
  kube: ['api', 'net', 'runtime'],
  engine: ['api', 'net', 'runtime', 'host', 'kube'],
  routeagent: ['api', 'net', 'runtime', 'host', 'kube'],
  sandbox: ['api', 'net', 'runtime', 'host', 'kube'],
  commands: ['api', 'net', 'runtime', 'host', 'kube', 'sandbox'],
};
const folders = Object.entries(may).map(([folder, allowed]) => {
  const banned = internal.filter((other) => other !== folder && !allowed.includes(other));
  return {
    name: `${folder}-imports`,
    severity: 'error',
    from: { path: `^src/${folder}/` },
    to: { path: `^src/(${banned.join('|')})/` },
  };
});
const only = (name, pkg, allowed) => ({
  name: `only-${name}`,
  severity: 'error',
  from: { path: '^src/', pathNot: allowed },
  to: { path: `node_modules/${pkg}/` },
});

module.exports = {
  forbidden: [
    ...folders,
    { name: 'no-cycles', severity: 'error', from: { path: '^src/' }, to: { circular: true } },
    {
      name: 'cli-imports',
      severity: 'error',
      from: { path: '^src/cli\\.ts$' },
      to: { path: '^src/(?!commands|runtime|cli)' },
    },
    { name: 'nobody-imports-cli', severity: 'error', from: { path: '^src/' }, to: { path: '^src/cli\\.ts$' } },
    {
      name: 'nobody-imports-a-main',
      severity: 'error',
      from: { path: '^src/' },
      to: { path: '^src/[a-z]+/main\\.ts$' },
    },
    only('execa', 'execa', '^src/host/'),
    only('client-node', '@kubernetes/client-node', '^src/kube/'),
    only('chalk', 'chalk', '^src/commands/'),
    only('inquirer', '@?inquirer', '^src/commands/'),
    only('commander', 'commander', '^src/(cli\\.ts|commands/)'),
    {
      name: 'pure-folders',
      severity: 'error',
      from: { path: '^src/(net|api)/' },
      to: { dependencyTypes: ['core'], pathNot: '^(node:)?(net|buffer|crypto)$' },
    },
    {
      name: 'programs-only-in-host',
      severity: 'error',
      from: { path: '^src/', pathNot: '^src/(host|sandbox)/' },
      to: { path: '^(node:)?(child_process|dgram)$' },
    },
  ],
  options: {
    tsConfig: { fileName: 'tsconfig.json' },
    tsPreCompilationDeps: true,
    doNotFollow: { path: 'node_modules' },
    enhancedResolveOptions: { extensions: ['.ts', '.js', '.mjs'] },
  },
};

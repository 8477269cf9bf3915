import type { ArchivedCluster, ArchiveIndex } from './format.ts';

function cell(text: string): string {
  return text.replaceAll(/\s+/g, ' ').replaceAll('|', '\\|');
}

function failuresOf({ failures }: ArchivedCluster): readonly string[] {
  if (failures.length === 0) return ['Everything that was asked for is here.', ''];
  const rows = failures.map(({ collector, message }) => `| ${collector} | ${cell(message)} |`);
  return ['What could not be had:', '', '| part | why |', '|---|---|', ...rows, ''];
}

function filesOf({ directory, files }: ArchivedCluster): readonly string[] {
  const rows = files
    .filter(({ bytes }) => bytes > 0)
    .map(({ path, what, bytes }) => `| [${path}](<${directory}/${path}>) | ${cell(what)} | ${bytes} |`);
  const empty = files.filter(({ bytes }) => bytes === 0).map(({ path }) => path);
  const none = empty.length === 0 ? [] : [`Looked for and none found: ${empty.join(', ')}`, ''];
  return ['| file | what | bytes |', '|---|---|---|', ...rows, '', ...none];
}

function sectionOf(cluster: ArchivedCluster): readonly string[] {
  const { clusterId, context, server } = cluster;
  const joined = clusterId === null ? 'It has not joined.' : `Its ID in the ClusterSet is ${clusterId}.`;
  return [
    `## Cluster ${cluster.cluster}`,
    '',
    `Context ${context}, API server ${server}. ${joined}`,
    '',
    ...failuresOf(cluster),
    ...filesOf(cluster),
  ];
}

/** The index of an archive for people, as Markdown: what is there, and what could not be had. */
export function renderPage(index: ArchiveIndex): string {
  const { clusters, problems, createdAt, version, redacted } = index;
  const missing = problems.map(
    ({ context, message }) => `- Context ${context} could not be looked at: ${cell(message)}`,
  );
  return [
    '# State of a ClusterSet',
    '',
    `Gathered by subctl ${version} at ${createdAt}, from ${clusters.length} ${clusters.length === 1 ? 'cluster' : 'clusters'}.`,
    `Secrets are not in here: ${redacted} values were replaced by \`##redacted##\`. Names and addresses of nodes, pods and`,
    'Services are. Look through it before you give it away.',
    '',
    ...missing,
    ...(missing.length === 0 ? [] : ['']),
    ...clusters.flatMap(sectionOf),
  ].join('\n');
}

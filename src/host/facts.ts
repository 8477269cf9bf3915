import { cidrContains } from '../net/cidr.ts';
import { ExpectedError } from '../runtime/errors.ts';
import { answerOf, readBatch } from './batch.ts';
import { lookOnce, type CommandRunner } from './command.ts';
import { MAIN_TABLE, parseLinks, parseRoutes, type ObservedLink } from './ip.ts';
import { NETCONF_QUESTION, parseNetconf } from './netconf.ts';

/** A link with one of its addresses. */
interface LinkAddress {
  readonly link: string;
  readonly address: string;
  readonly mtuBytes: number;
}

/** What a machine says about its part of the cluster's network. */
export interface NodeFacts {
  readonly underlay: LinkAddress;
  readonly cni: LinkAddress | undefined;
  readonly strictLinks: readonly string[];
}

/** What to look for. */
export interface NodeQuestion {
  /** The node's address on the network of the nodes; when unknown, the link of the default route is taken. */
  readonly nodeAddress: string | undefined;
  readonly podCidrs: readonly string[];
  /** Links that are not the machine's own, i.e. ours. */
  readonly ignoredLinks: readonly string[];
}

const STRICT = '1';

function addressesOf(link: ObservedLink): readonly LinkAddress[] {
  return link.addresses
    .filter((text) => !text.includes(':'))
    .map((text) => ({ link: link.name, address: text.split('/')[0] ?? '', mtuBytes: link.mtuBytes }));
}

/** Link of the default route with the smallest metric. */
function defaultLink(answer: string): string | undefined {
  const routes = parseRoutes(MAIN_TABLE, answer).toSorted((a, b) => (a.metric ?? 0) - (b.metric ?? 0));
  return routes.find((route) => route.link !== undefined)?.link;
}

/** Links over which this machine reaches pods of the cluster on other machines, or its own through a bridge. */
function podLinks(answer: string): readonly string[] {
  const networks = parseRoutes(MAIN_TABLE, answer).filter((route) => !route.destination.endsWith('/32'));
  return networks.flatMap((route) => (route.link === undefined ? [] : [route.link]));
}

function filterKey(link: string): string {
  return `net.ipv4.conf.${link.replaceAll('.', '/')}.rp_filter`;
}

/** Of these links those that drop packets whose source they would not answer over the same link (RFC 3704, strict). */
function strictOf(links: readonly string[], values: ReadonlyMap<string, string>): readonly string[] {
  // The kernel takes the larger of the link's value and that of `all`.
  const effective = (link: string): string =>
    [values.get(filterKey('all')) ?? '0', values.get(filterKey(link)) ?? '0'].toSorted().at(-1) ?? '0';
  return links.filter((link) => effective(link) === STRICT);
}

/** Looks at the machine; rejects when no link has the node's address and there is no default route either. */
export async function observeNode(
  runner: CommandRunner,
  question: NodeQuestion,
  signal?: AbortSignal,
): Promise<NodeFacts> {
  const { nodeAddress, podCidrs, ignoredLinks } = question;
  const main = ['table', String(MAIN_TABLE)];
  const questions = [
    ['addr', 'show'],
    NETCONF_QUESTION,
    ['route', 'show', 'default', ...main],
    ...podCidrs.map((cidr) => ['route', 'show', ...main, 'root', cidr]),
  ];
  const answers = await lookOnce(runner, ['link', 'route'], JSON.stringify(questions), async () =>
    (await readBatch(runner, questions, signal)).map((outcome, index) =>
      answerOf(outcome, (questions[index] ?? []).join(' ')),
    ),
  );
  const [links = '', netconf = '', defaults = '', ...toPods] = answers;
  const uplink = defaultLink(defaults);
  const all = parseLinks(links)
    .filter((link) => !ignoredLinks.includes(link.name))
    .flatMap(addressesOf);
  const underlay = all.find(({ address }) => address === nodeAddress) ?? all.find(({ link }) => link === uplink);
  if (underlay === undefined) {
    const wanted =
      nodeAddress === undefined ? 'the node has no InternalIP' : `no link has the node's address ${nodeAddress}`;
    throw new ExpectedError(
      `${wanted} and there is no default route with an address: the network of the nodes is not known`,
      {
        hint: 'Compare `ip addr` on the node with `kubectl get nodes -o wide`.',
      },
    );
  }
  const cni = all.find(({ address }) => podCidrs.some((cidr) => cidrContains(cidr, address)));
  const carrying = [underlay.link, ...toPods.flatMap(podLinks).filter((link) => !ignoredLinks.includes(link))];
  const strictLinks = strictOf([...new Set(carrying)], parseNetconf(netconf));
  return { underlay, cni, strictLinks };
}

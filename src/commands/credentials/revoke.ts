import { ExpectedError } from '../../runtime/errors.ts';
import { atBroker, type BrokerAdmin, brokerAdmin } from '../brokeradmin.ts';
import type { CommandRun } from '../context.ts';
import { memberAccount, memberId, readBroker } from '../join/brokerview.ts';
import { expelFromBroker } from '../join/leave.ts';
import { printResult, reportWritten } from '../report.ts';
import type { RevokeOptions } from './options.ts';

/** Cuts a cluster off: its rights first, which end at once, then all that it published, at last its account. */
export async function revokeCluster(run: CommandRun, clusterId: string, options: RevokeOptions): Promise<void> {
  const { reporter } = run;
  const admin = await brokerAdmin(run, options.brokerInfo);
  const { client, access } = admin;
  const { namespace } = access;
  await atBroker(admin, async () => requireKnown(admin, clusterId));
  await agree(run, clusterId);
  const records = await reporter.step(`Revoking cluster ${clusterId} on the broker`, async () =>
    atBroker(admin, async () => {
      const { removed, claimKept } = await expelFromBroker(client, run.context.clock, { namespace, clusterId });
      if (!claimKept) return removed;
      throw new ExpectedError(
        `may not delete ServiceAccount ${memberAccount(clusterId)} on the broker ${access.server}`,
        {
          hint: `Its credentials may work, and its ID stays claimed, until that is gone: run this with --broker-info and the broker-info.subm of the broker's administrator, or kubectl -n ${namespace} delete serviceaccount ${memberAccount(clusterId)}`,
        },
      );
    }),
  );
  reportWritten(run, records);
  await printResult(run, { clusterId, broker: access.server }, records);
  reporter.done(`Cluster ${clusterId} is cut off: the broker knows it no more, the others drop their tunnels to it`);
  reporter.info(
    '   It still knows the pre-shared key of the set, with which it could decrypt nothing, but answer in the place of another cluster.',
  );
  reporter.info(
    '   Give the others a new one: subctl credentials rotate --psk --contexts, with the contexts of all of them',
  );
}

async function requireKnown({ client, access }: BrokerAdmin, clusterId: string): Promise<void> {
  const { members, clusters, endpoints } = await readBroker(client, access.namespace);
  const known = new Set([
    ...members.map(memberId),
    ...clusters.map(({ spec }) => spec.cluster_id),
    ...endpoints.map(({ spec }) => spec.cluster_id),
  ]);
  if (known.has(clusterId)) return;
  throw new ExpectedError(`the broker ${access.server} knows no cluster ${clusterId}`, {
    hint: `It knows ${[...known].toSorted().join(', ') || 'none'}. Nothing was changed.`,
  });
}

async function agree({ flags, context, reporter }: CommandRun, clusterId: string): Promise<void> {
  if (flags.yes) return;
  if (!context.terminal.interactive) {
    throw new ExpectedError(`nobody agreed to cut cluster ${clusterId} off`, {
      hint: 'Agree with --yes. Nothing was changed.',
    });
  }
  reporter.warn(`cluster ${clusterId} loses its connections to all others; to come back it has to join again`);
  if (await context.prompter.confirm(`Cut ${clusterId} off?`)) return;
  throw new ExpectedError('not revoked', { hint: 'Nothing was changed.' });
}

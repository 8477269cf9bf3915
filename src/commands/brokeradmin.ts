import path from 'node:path';
import { type BrokerAccess, brokerAccessOf, type BrokerInfo } from '../api/brokerinfo.ts';
import { joinFileOf } from '../api/joinfile.ts';
import type { KubeClient } from '../kube/client.ts';
import { ExpectedError } from '../runtime/errors.ts';
import { readBrokerInfoFile } from './brokerinfofile.ts';
import type { CommandRun } from './context.ts';
import { explainBrokerError } from './join/brokeridentity.ts';

/** The broker with the rights of its administrator. */
export interface BrokerAdmin {
  readonly client: KubeClient;
  readonly access: BrokerAccess;
  readonly info: BrokerInfo;
  readonly file: string;
}

/** Reaches the broker with the broker-info.subm of its administrator. */
export async function brokerAdmin(run: CommandRun, file: string): Promise<BrokerAdmin> {
  const { context } = run;
  const info = await readBrokerInfoFile(path.resolve(context.cwd, file), context.clock.now());
  if (joinFileOf(info) !== undefined) {
    throw new ExpectedError(`${file} is a join file: it lets one cluster join and does nothing else`, {
      hint: 'Give the broker-info.subm that subctl deploy-broker wrote.',
    });
  }
  const access = brokerAccessOf(info);
  const client = await (await run.access()).broker({ ...access, insecure: false, source: file });
  return { client, access, info, file };
}

/** What `work` gives; refusals of the broker are told as what they mean for the file. */
export async function atBroker<T>(admin: BrokerAdmin, work: () => Promise<T>): Promise<T> {
  try {
    return await work();
  } catch (error) {
    throw explainBrokerError(error, admin);
  }
}

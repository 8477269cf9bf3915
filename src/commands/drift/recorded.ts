import { Command } from 'commander';
import type { Submariner } from '../../api/types.ts';
import type { JoinSettings } from '../join/configuration.ts';
import { addJoinFlags } from '../join/flags.ts';
import type { JoinOptions } from '../join/options.ts';
import { ANNOTATIONS, recallOptions } from '../join/record.ts';

/** The options of a join to which no flag is given. */
export function defaultJoinOptions(): JoinOptions {
  const command = new Command();
  addJoinFlags(command);
  return command.opts<JoinOptions>();
}

/** Whether this program joined the cluster: what others deploy is not described by our templates. */
export function isOurs({ metadata }: Submariner): boolean {
  return metadata.annotations?.[ANNOTATIONS.podSource] !== undefined;
}

/** What a join without any flag would deploy, from what the last one recorded; `version` is the tag of images where none is recorded. */
export function recordedSettings(submariner: Submariner, version: string): JoinSettings {
  const { spec, metadata } = submariner;
  const options = recallOptions(defaultJoinOptions(), () => false, submariner);
  const annotation = (name: keyof typeof ANNOTATIONS): string => metadata.annotations?.[ANNOTATIONS[name]] ?? '';
  const cidrs = (text: string): readonly string[] => text.split(',').filter((cidr) => cidr !== '');
  const { brokerK8sApiServer: server, brokerK8sRemoteNamespace: namespace, brokerK8sCA: ca } = spec;
  return {
    clusterId: spec.clusterID,
    networks: {
      podCidrs: cidrs(spec.clusterCIDR),
      podSource: annotation('podSource'),
      serviceCidrs: cidrs(spec.serviceCIDR),
      serviceSource: annotation('serviceSource'),
      plugin: annotation('plugin'),
    },
    broker: {
      server: server.includes('://') ? server : `https://${server}`,
      namespace,
      ca: ca === undefined || ca === '' ? undefined : Buffer.from(ca, 'base64').toString(),
    },
    options,
    version,
  };
}

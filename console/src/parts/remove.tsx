import { useMutation } from '@tanstack/react-query';
import type { ButtonProps } from 'antd';

import { useText } from '../texts';
import { ProblemAlert } from './problem';
import { SureButton } from './sure';

interface Props {
  name: string;
  size?: ButtonProps['size'];
  /** What the button says, and what is asked; to remove `name` if absent. */
  what?: string;
  sure?: string | undefined;
  remove: () => Promise<unknown>;
  removed: () => Promise<unknown> | void;
}

/** Removes something once the operator is sure, or says why it stays. */
export function Remove({ name, size, what, sure, remove, removed }: Props) {
  const { t } = useText();
  const order = useMutation({ mutationFn: remove, onSuccess: removed });
  return (
    <>
      <SureButton danger title={sure ?? t('remove.sure', { name })} size={size} loading={order.isPending} act={() => order.mutate()}>
        {what ?? t('remove')}
      </SureButton>
      <ProblemAlert error={order.error} />
    </>
  );
}

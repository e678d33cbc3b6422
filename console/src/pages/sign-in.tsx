import { useMutation, useQueryClient } from '@tanstack/react-query';
import { Button, Card, Form, Input } from 'antd';
import { useEffect } from 'react';

import { refusalOf } from '../api/client';
import { signIn } from '../api/session';
import { LanguageChoice } from '../parts/choices';
import { ProblemAlert } from '../parts/problem';
import { useText } from '../texts';

export function SignInPage() {
  const { t } = useText();
  useEffect(() => {
    document.title = `${t('signIn')} · Otaru`;
  }, [t]);
  return (
    <main className="center">
      <Card className="sign-in" title={<h1 className="plain">Otaru</h1>} extra={<LanguageChoice />}>
        <p>{t('signIn.detail')}</p>
        <SignInForm />
      </Card>
    </main>
  );
}

export function SignInForm() {
  const { t } = useText();
  const queries = useQueryClient();
  const order = useMutation({
    mutationFn: check,
    onSuccess: (token) => {
      signIn(token);
      void queries.invalidateQueries();
    },
  });
  return (
    <Form layout="vertical" onFinish={({ token }: { token: string }) => order.mutate(token.trim())}>
      <Form.Item name="token" label={t('token')} rules={[{ required: true, message: t('required') }]}>
        <Input.Password autoFocus autoComplete="current-password" />
      </Form.Item>
      <ProblemAlert error={order.error} />
      <Button className="after" type="primary" htmlType="submit" loading={order.isPending} block>
        {t('signIn')}
      </Button>
    </Form>
  );
}

/** Whether the platform takes a token, asked without being signed in by it. */
async function check(token: string): Promise<string> {
  const headers = new Headers();
  try {
    headers.set('Authorization', `Bearer ${token}`);
  } catch {
    // No header can hold it, so it is no token; without any the platform says so.
  }
  const response = await fetch('/api/v1/status', { headers });
  if (response.ok) return token;
  throw await refusalOf(response);
}

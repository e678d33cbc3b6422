import { useQuery } from '@tanstack/react-query';

import { api, ask } from './client';

export const useStatus = () => useQuery({ queryKey: ['status'], queryFn: () => ask(api.GET('/api/v1/status')) });

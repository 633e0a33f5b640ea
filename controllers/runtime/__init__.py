"""The common base: informers, queues, plan and apply, telling. Written once for all controllers."""

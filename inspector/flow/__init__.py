"""What passes between threads and stages: buffers, queues, and the one place where load is shed."""

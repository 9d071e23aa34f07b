//go:build !sdk104 && !sdk128

package main

import (
	"context"

	"github.com/Axway/agent-sdk/pkg/harvester"
	"github.com/Axway/agent-sdk/pkg/watchmanager"
	"github.com/Axway/agent-sdk/pkg/watchmanager/proto"
)

// watch registers and stays until the watch ends, and says why it did. From v1.1.138 on the SDK cancels a context with the
// reason.
func watch(
	parent context.Context, config *watchmanager.Config, options []watchmanager.Option, topic string, events chan *proto.Event,
) error {
	ctx, cancel := context.WithCancelCause(parent)
	defer cancel(nil)
	manager, err := watchmanager.New(config, append(options, watchmanager.WithContext(ctx, cancel))...)
	if err != nil {
		return err
	}
	defer manager.CloseConn()
	if _, err := manager.RegisterWatch(topic, events); err != nil {
		return err
	}
	connected(true)
	<-ctx.Done()
	connected(false)
	return context.Cause(ctx)
}

func newestSequence(ctx context.Context, history *harvester.Client, topic string) (int64, error) {
	return history.ReceiveSyncEvents(ctx, topic, 0, nil)
}

//go:build sdk104 || sdk128

package main

import (
	"context"

	"github.com/Axway/agent-sdk/pkg/watchmanager"
	"github.com/Axway/agent-sdk/pkg/watchmanager/proto"
)

// watch registers and stays until the watch ends, and says why it did. Up to v1.1.137 the SDK puts the reason into a
// channel, which somebody has to read.
func watch(
	ctx context.Context, config *watchmanager.Config, options []watchmanager.Option, topic string, events chan *proto.Event,
) error {
	option, cancel := contextOption(ctx)
	defer cancel()
	if option != nil {
		options = append(options, option)
	}
	manager, err := watchmanager.New(config, options...)
	if err != nil {
		return err
	}
	defer manager.CloseConn()
	// Both the reader and the writer of a stream may report its end; neither looks whether anybody listens.
	reasons := make(chan error, 8)
	if _, err := manager.RegisterWatch(topic, events, reasons); err != nil {
		return err
	}
	connected(true)
	defer connected(false)
	select {
	case <-ctx.Done():
		return ctx.Err()
	case reason := <-reasons:
		return reason
	}
}

//go:build sdk128

package main

import (
	"context"

	"github.com/Axway/agent-sdk/pkg/harvester"
	"github.com/Axway/agent-sdk/pkg/watchmanager"
)

// The contexts came with v1.1.128, the reason in them with v1.1.138.
func contextOption(parent context.Context) (watchmanager.Option, context.CancelFunc) {
	ctx, cancel := context.WithCancel(parent)
	return watchmanager.WithContext(ctx, cancel), cancel
}

func newestSequence(ctx context.Context, history *harvester.Client, topic string) (int64, error) {
	return history.ReceiveSyncEvents(ctx, topic, 0, nil)
}

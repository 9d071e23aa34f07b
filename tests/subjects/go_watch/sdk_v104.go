//go:build sdk104

package main

import (
	"context"

	"github.com/Axway/agent-sdk/pkg/harvester"
	"github.com/Axway/agent-sdk/pkg/watchmanager"
)

// Before v1.1.128 nothing takes a context.
func contextOption(context.Context) (watchmanager.Option, context.CancelFunc) { return nil, func() {} }

func newestSequence(_ context.Context, history *harvester.Client, topic string) (int64, error) {
	return history.ReceiveSyncEvents(topic, 0, nil)
}
